package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// idleConfig watches nothing yet: a daemon on its first day.
const idleConfig = `
storage: { url: "sqlite:postflight.db" }
sources: [{ name: pipeline, format: native, token_file: token }]
prometheus: [{ name: main, url: "http://127.0.0.1:9" }]
policies:
  - name: services
    signals: [{ name: errors, ratio: { bad: 'bad_total', total: 'all_total' } }]
`

// idlePeer is a daemon of the same kind that many machines run beside it.
const idlePeer = "/usr/bin/prometheus-blackbox-exporter"

// idle is what a daemon takes that has nothing to do.
type idle struct {
	name           string
	size, squeezed int64         // bytes of its binary, and of that after gzip
	first, again   time.Duration // until it is ready, median: the first time, and with the store of before
	cores          float64
	resident       int64
}

// measureStart starts postflight, and a peer where there is one, and lets them
// idle.
func measureStart(ctx context.Context, o options) (Section, error) {
	ours, err := measureIdle(ctx, o, "postflight", o.binary, func(ctx context.Context, dir string) (*daemon, error) {
		return startDaemon(ctx, o.binary, dir, "postflight", idleConfig)
	})
	if err != nil {
		return Section{}, err
	}
	all := []idle{ours}
	if _, err := os.Stat(idlePeer); !errors.Is(err, fs.ErrNotExist) {
		peer, err := measureIdle(ctx, o, "blackbox_exporter", idlePeer, startPeer)
		if err != nil {
			return Section{}, err
		}
		all = append(all, peer)
	}
	return startSection(all), nil
}

func startPeer(ctx context.Context, dir string) (*daemon, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "peer.yml")
	if err := os.WriteFile(config, []byte("modules: { http: { prober: http } }\n"), 0o600); err != nil {
		return nil, fmt.Errorf("write the peer's configuration: %w", err)
	}
	d := &daemon{url: "http://" + address, ready: "/-/healthy", log: filepath.Join(dir, "peer.log")}
	return d, d.start(ctx, exec.CommandContext(ctx, idlePeer, "--config.file="+config, "--web.listen-address="+address), dir) // #nosec G204 -- of the system
}

func measureIdle(ctx context.Context, o options, name, binary string, start func(ctx context.Context, dir string) (*daemon, error)) (i idle, err error) {
	i.name = name
	if i.size, i.squeezed, err = sizeOf(binary); err != nil {
		return i, err
	}
	times, watch := 11, 30*time.Second
	if o.quick {
		times, watch = 1, time.Second
	}
	var first, again []time.Duration
	for n := range times {
		dir, err := os.MkdirTemp("", "postflight-bench")
		if err != nil {
			return i, fmt.Errorf("make a folder: %w", err)
		}
		defer os.RemoveAll(dir) //nolint:errcheck // of the system's temporary ones
		for _, took := range []*[]time.Duration{&first, &again} {
			d, err := start(ctx, dir)
			if err != nil {
				return i, err
			}
			*took = append(*took, d.took)
			if n == 0 && took == &again {
				err = i.watch(ctx, d, watch)
			}
			d.kill()
			if err != nil {
				return i, err
			}
		}
	}
	i.first, i.again = median(first), median(again)
	o.say("%s: ready in %s, %.2f %% of a core", name, ms(i.first), 100*i.cores)
	return i, nil
}

// watch lets it settle, and then idle.
func (i *idle) watch(ctx context.Context, d *daemon, during time.Duration) error {
	if err := wait(ctx, during/6); err != nil {
		return err
	}
	before, err := d.usage()
	if err != nil {
		return err
	}
	if err := wait(ctx, during); err != nil {
		return err
	}
	after, err := d.usage()
	i.cores, i.resident = (after.cpu-before.cpu).Seconds()/during.Seconds(), after.resident
	return err
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// sizeOf returns the bytes of a file, and of it after gzip, as a release's
// archive has it.
func sizeOf(file string) (size, squeezed int64, err error) {
	f, err := os.Open(file) // #nosec G304 -- the caller's
	if err != nil {
		return 0, 0, fmt.Errorf("read the binary: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	var n counter
	z, err := gzip.NewWriterLevel(&n, gzip.BestCompression)
	if err != nil {
		return 0, 0, err
	}
	size, err = io.Copy(z, f)
	return size, int64(n), errors.Join(err, z.Close())
}

type counter int64

func (n *counter) Write(b []byte) (int, error) {
	*n += counter(len(b))
	return len(b), nil
}

func startSection(all []idle) Section {
	s := Section{
		Title: "Binary and start",
		Text: `From exec to the first 200 of ` + "`/-/ready`" + ` (the peer: ` + "`/-/healthy`" + `), the median of eleven starts: **first** in an empty
folder, where the store is made and its schema written, and **again** with that store. Then a daemon that has nothing
to watch is left alone. The peer keeps no state and polls nothing; it is there for scale.`,
		Tables: []Table{{Head: []string{"", "binary", "gzip", "ready, first", "ready, again", "idle CPU", "idle memory"}}},
		Data:   map[string]float64{},
	}
	for _, i := range all {
		s.Tables[0].Rows = append(s.Tables[0].Rows, []string{i.name, bytesOf(float64(i.size)), bytesOf(float64(i.squeezed)), ms(i.first), ms(i.again),
			fmt.Sprintf("%.2f %% of a core", 100*i.cores), bytesOf(float64(i.resident))})
		s.Data[i.name+" idle cores"], s.Data[i.name+" idle bytes of memory"] = i.cores, float64(i.resident)
	}
	ours := all[0]
	s.Figures = []Figure{
		{What: "binary", Measured: bytesOf(float64(ours.size)) + ", " + bytesOf(float64(ours.squeezed)) + " after gzip"},
		{"time to ready, first start and again", "under 1 s", ms(ours.first) + ", " + ms(ours.again), max(ours.first, ours.again) < time.Second},
		{"idle CPU", "under 1 % of a core", fmt.Sprintf("%.2f %% of a core", 100*ours.cores), ours.cores < 0.01},
		{"idle memory", "under 64 MiB", bytesOf(float64(ours.resident)), ours.resident < 64<<20},
	}
	return s
}
