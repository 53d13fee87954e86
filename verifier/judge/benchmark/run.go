package benchmark

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// Options size a run.
type Options struct {
	Seed    uint64
	Healthy int // deploys of each cell
	Bad     int // deploys of each harm of each cell
	Workers int
	// Progress is told what is done, now and then.
	Progress io.Writer
}

// CellResult is a cell with its tallies, by decider and then by harm; the
// harm "" is a healthy deploy.
type CellResult struct {
	Cell
	Tallies map[string]map[string]*Tally
}

// Simulate plays every cell. It ends early, with what was done of the cell in
// hand dropped, when ctx ends.
func Simulate(ctx context.Context, cells []Cell, o Options) []CellResult {
	started := time.Now()
	var out []CellResult
	for i, c := range cells {
		r := c.run(ctx, o)
		if ctx.Err() != nil {
			fmt.Fprintf(o.Progress, "out of time after %d of %d cells\n", i, len(cells))
			return out
		}
		out = append(out, r)
		fmt.Fprintf(o.Progress, "%3d of %d cells, %s: %s, %s\n", i+1, len(cells), time.Since(started).Round(time.Second), c.Table, c.Row)
	}
	return out
}

// play is one deploy to simulate.
type play struct {
	harm Harm
	i    int
}

func (c Cell) run(ctx context.Context, o Options) CellResult {
	out := CellResult{Cell: c, Tallies: map[string]map[string]*Tally{}}
	for _, d := range c.Deciders {
		out.Tallies[d.Name] = map[string]*Tally{"": {}}
		for _, h := range c.Harms {
			out.Tallies[d.Name][h.Name] = &Tally{}
		}
	}
	plays := make(chan play)
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range max(1, o.Workers) {
		workers.Go(func() {
			for p := range plays {
				d := c.deploy(o.Seed, p.harm, p.i)
				for _, decider := range c.Deciders {
					result := decider.Decide(d)
					mu.Lock()
					out.Tallies[decider.Name][p.harm.Name].add(result)
					mu.Unlock()
				}
			}
		})
	}
	c.feed(ctx, o, plays)
	workers.Wait()
	return out
}

// feed hands out every deploy of the cell, and stops when ctx ends.
func (c Cell) feed(ctx context.Context, o Options, plays chan<- play) {
	defer close(plays)
	for i := range o.Healthy {
		if ctx.Err() != nil {
			return
		}
		plays <- play{Harm{}, i}
	}
	for _, h := range c.Harms {
		for i := range o.Bad {
			if ctx.Err() != nil {
				return
			}
			plays <- play{h, i}
		}
	}
}
