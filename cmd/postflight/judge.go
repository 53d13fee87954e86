package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
	"github.com/postflight/postflight/verifier/judge/recorded"
)

// judgeFlags is what judge was asked for.
type judgeFlags struct {
	series    string
	changedAt int64
	index     string
	dir       string
	worse     string
	opt       judge.SeriesOptions
}

// judgement is one line of judge's output.
type judgement struct {
	Case      string            `json:"case"`
	Verdict   verifier.Decision `json:"verdict"`
	DecidedAt int64             `json:"decided_at"` // Unix seconds
	Minutes   float64           `json:"minutes"`    // from the change to the decision
	Score     float64           `json:"score"`
}

func judgeCommand(s streams) *cobra.Command {
	var f judgeFlags
	cmd := &cobra.Command{
		Use:   "judge",
		Short: "Judge recorded series offline, as if a deploy had happened",
		Long: `Judges one recorded series (--series FILE --changed-at UNIX), or every change of
an index (--index FILE --dir DIR: columns case and changed_at; the series is
DIR/CASE.csv.gz or DIR/CASE.csv). A series has the columns timestamp (Unix
seconds) and value. Points before the change are the history; later ones arrive
one by one until the window ends. The score is the largest suspicion over the
whole window: above 1 is more than its own past ever did.
Exit code 0: all were judged, whatever the verdicts; 1: some could not be.`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd.Flags().Changed("changed-at")); err != nil {
				return err
			}
			cases, err := f.cases()
			if err != nil {
				return err
			}
			return judgeAll(s, cases, f.opt, asJSON(cmd))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.series, "series", "", "CSV of one series, packed when it ends in .gz")
	flags.Int64Var(&f.changedAt, "changed-at", 0, "when the change was made, in Unix seconds")
	flags.StringVar(&f.index, "index", "", "CSV of many changes")
	flags.StringVar(&f.dir, "dir", "", "folder of the series of --index")
	flags.Float64Var(&f.opt.Alpha, "alpha", 0.01, "budget of false reverts for one change, between 0 and 1")
	flags.StringVar(&f.worse, "worse", string(verifier.WorseBoth), "direction of harm: higher, lower or both")
	flags.DurationVar(&f.opt.Step, "step", time.Minute, "resolution of the series")
	flags.DurationVar(&f.opt.Window, "window", 2*time.Hour, "how long after the change it is judged")
	outputFlag(flags)
	return cmd
}

func (f *judgeFlags) check(dated bool) error {
	f.opt.Worse = verifier.Worse(f.worse)
	switch {
	case (f.series == "") == (f.index == ""):
		return usagef("judge needs either --series FILE with --changed-at UNIX, or --index FILE with --dir DIR (see --help)")
	case f.series != "" && (!dated || f.dir != ""):
		return usagef("--series needs --changed-at UNIX, and no --dir")
	case f.index != "" && (dated || f.dir == ""):
		return usagef("--index needs --dir DIR, and no --changed-at")
	case !(f.opt.Alpha > 0 && f.opt.Alpha < 1):
		return usagef("--alpha: between 0 and 1 (got %v)", f.opt.Alpha)
	case !slices.Contains([]verifier.Worse{verifier.WorseHigher, verifier.WorseLower, verifier.WorseBoth}, f.opt.Worse):
		return usagef("--worse: higher, lower or both (got %q)", f.worse)
	case f.opt.Step < time.Second:
		return usagef("--step: at least 1s (got %s)", f.opt.Step)
	case f.opt.Window < f.opt.Step:
		return usagef("--window: at least one step, %s (got %s)", f.opt.Step, f.opt.Window)
	}
	return nil
}

// recordedCase is a change and how to read its series.
type recordedCase struct {
	recorded.Change
	read func() ([]judge.Point, error)
}

func (f *judgeFlags) cases() ([]recordedCase, error) {
	if f.series != "" {
		dir, file := filepath.Split(f.series)
		name, _, _ := strings.Cut(file, ".csv")
		c := recorded.Change{Case: name, At: time.Unix(f.changedAt, 0).UTC()}
		read := func() ([]judge.Point, error) { return recorded.OpenSeries(os.DirFS(filepath.Clean(dir)), file) }
		return []recordedCase{{c, read}}, nil
	}
	text, err := os.ReadFile(f.index)
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	changes, err := recorded.ReadIndex(bytes.NewReader(text), f.index)
	if err != nil {
		return nil, err
	}
	fsys := os.DirFS(f.dir)
	var out []recordedCase
	for _, c := range changes {
		out = append(out, recordedCase{c, func() ([]judge.Point, error) { return recorded.OpenCase(fsys, c.Case) }})
	}
	return out, nil
}

// judgeAll judges every case, and prints them in their order as they come.
func judgeAll(s streams, cases []recordedCase, opt judge.SeriesOptions, machine bool) error {
	type result struct {
		judgement
		err error
	}
	results := make([]chan result, len(cases))
	for i := range results {
		results[i] = make(chan result, 1)
	}
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	go func() {
		for i, c := range cases {
			slots <- struct{}{}
			go func() {
				j, err := judgeCase(c, opt)
				results[i] <- result{j, err}
				<-slots
			}()
		}
	}()
	tell, flush := judgementPrinter(s.out, machine)
	failed := 0
	for i := range results {
		r := <-results[i]
		if r.err != nil {
			failed++
			fmt.Fprintf(s.err, "postflight: judge %s: %v\n", cases[i].Case, r.err)
			continue
		}
		if err := tell(r.judgement); err != nil {
			return fmt.Errorf("write judgement: %w", err)
		}
	}
	if err := flush(); err != nil {
		return fmt.Errorf("write judgements: %w", err)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d could not be judged", failed, len(cases))
	}
	return nil
}

func judgeCase(c recordedCase, opt judge.SeriesOptions) (judgement, error) {
	points, err := c.read()
	if err != nil {
		return judgement{}, err
	}
	if first, last := points[0].At, points[len(points)-1].At; c.At.Before(first) || c.At.After(last) {
		return judgement{}, fmt.Errorf("the change at %s is outside of the series, which goes from %s to %s: --changed-at and changed_at are Unix seconds",
			c.At.Format(time.RFC3339), first.UTC().Format(time.RFC3339), last.UTC().Format(time.RFC3339))
	}
	v := judge.JudgeSeries(points, c.At, opt)
	return judgement{
		Case: c.Case, Verdict: v.Decision, DecidedAt: v.DecidedAt.Unix(), Minutes: v.Minutes,
		Score: max(-math.MaxFloat64, min(v.Score, math.MaxFloat64)),
	}, nil
}

// judgementPrinter prints a line a case, for machines or for people.
func judgementPrinter(out io.Writer, machine bool) (tell func(judgement) error, flush func() error) {
	if machine {
		e := json.NewEncoder(out)
		return func(j judgement) error { return e.Encode(j) }, func() error { return nil }
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "CASE\tVERDICT\tMINUTES\tSCORE\tDECIDED AT")
	return func(j judgement) error {
		_, err := fmt.Fprintf(w, "%s\t%s\t%.4g\t%.3g\t%s\n", j.Case, j.Verdict, j.Minutes, j.Score,
			time.Unix(j.DecidedAt, 0).UTC().Format(time.RFC3339))
		return err
	}, w.Flush
}
