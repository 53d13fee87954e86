package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// judged is one of the judge's benchmarks.
type judged struct {
	name, what string
	goal       time.Duration // 0 where none was set
}

var judgeBenchmarks = []judged{
	{"Tick/ratio", "a step of an error rate or latency, and what it makes of the evidence", 20 * time.Microsecond},
	{"Tick/value", "a step of a value", 20 * time.Microsecond},
	{"TickAgainst/ratio", "a step of an error rate against its control group", 0},
	{"TickAgainst/value", "a step of a value against its control group", 0},
	{"Calibrate/ratio", "an error rate's past of a week of minutes", 50 * time.Millisecond},
	{"Calibrate/value", "a value's past of a week of minutes", 50 * time.Millisecond},
	{"CalibrateAgainst/ratio", "an error rate's past against its control group", 0},
	{"CalibrateAgainst/value", "a value's past against its control group", 0},
	{"Look/30", "a look in the middle of an hour: errors, latency, probe, tickets, a step a minute", 0},
	{"Look/60", "the look at the hour's end", 0},
	{"Look/240", "the same with steps of 15 s", 0},
	{"Assess/240", "the same from what is stored alone, as the first look after a restart", 0},
}

// measureJudge runs the judge's own benchmarks, as go test does.
func measureJudge(ctx context.Context, o options) (Section, error) {
	count := "2s"
	if o.quick {
		count = "2x"
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "Tick|Calibrate|Look|Assess", "-benchmem", "-benchtime", count, "./verifier/judge") // #nosec G204 -- a choice of two
	out, err := cmd.CombinedOutput()
	if err != nil {
		return Section{}, fmt.Errorf("run the judge's benchmarks: %w: %s", err, out)
	}
	return judgeSection(benchmarkLines(string(out)))
}

// benchmarkLines reads what go test writes of benchmarks: by name, without
// "Benchmark" and the number of cores, figures by their unit.
func benchmarkLines(out string) map[string]map[string]float64 {
	all := map[string]map[string]float64{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			name = name[:i]
		}
		all[name] = map[string]float64{}
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				all[name][fields[i+1]] = v
			}
		}
	}
	return all
}

func judgeSection(all map[string]map[string]float64) (Section, error) {
	s := Section{
		Title: "Judge",
		Text: `The judge alone, on one core: Go benchmarks of ` + "`verifier/judge`" + `. A tick is one more step (by default a minute) of a
signal with the finding after it, not a look: a look asks for as many steps as ended since the last. A calibration reads the past once, when a window opens. A look judges a whole verification of four signals by all
that was seen in its window, with what earlier looks learnt of the calibrations; its answer is the same to the bit as that
of the first look.`,
		Tables: []Table{{Head: []string{"", "what", "time", "memory allocated"}}},
		Data:   map[string]float64{},
	}
	for _, b := range judgeBenchmarks {
		f, ok := all[b.name]
		if !ok {
			return s, fmt.Errorf("go test ran no benchmark %s", b.name)
		}
		took := time.Duration(f["ns/op"])
		s.Tables[0].Rows = append(s.Tables[0].Rows, []string{b.name, b.what, fine(took), bytesOf(f["B/op"])})
		s.Data[b.name+" ns"], s.Data[b.name+" B"] = f["ns/op"], f["B/op"]
		if b.goal > 0 {
			kind, of, _ := strings.Cut(b.name, "/")
			s.Figures = append(s.Figures, Figure{fmt.Sprintf("judge: %s of a %s", strings.ToLower(kind), of), "at most " + ms(b.goal), fine(took) + ", " + bytesOf(f["B/op"]), took <= b.goal})
		}
	}
	var kept []string
	for _, signal := range []string{"errors", "latency", "probe", "tickets"} {
		kept = append(kept, fmt.Sprintf("%s %.0f B", signal, all["Assess/240"][signal+"-B"]))
	}
	s.Text += " Stored of the past: " + strings.Join(kept, ", ") + "."
	return s, nil
}

// fine is ms with a digit more where little is left.
func fine(d time.Duration) string {
	if d < 10*time.Microsecond {
		return fmt.Sprintf("%.1f µs", float64(d)/float64(time.Microsecond))
	}
	return ms(d)
}
