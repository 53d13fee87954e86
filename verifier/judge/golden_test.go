package judge_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/judge"
)

var update = flag.Bool("update", false, "write the golden files")

// story is the description of a golden case: a policy, and for every signal
// what it was like before and after a deploy.
type story struct {
	About   string            `json:"about"`
	Step    verifier.Duration `json:"step"`
	Window  verifier.Duration `json:"window"`
	Warmup  verifier.Duration `json:"warmup"`
	Soak    verifier.Duration `json:"soak"`
	LeftOut []stretch         `json:"left_out"`
	Signals []storySignal     `json:"signals"`
}

type storySignal struct {
	Name    string              `json:"name"`
	Kind    verifier.SignalKind `json:"kind"`
	Role    verifier.Role       `json:"role"`
	Worse   verifier.Worse      `json:"worse"`
	Delta   float64             `json:"delta"`
	Epsilon float64             `json:"epsilon"`
	AtMost  *float64            `json:"at_most"`
	AtLeast *float64            `json:"at_least"`
	Slow    float64             `json:"slow"`    // latency: the threshold in seconds
	Probe   int                 `json:"probe"`   // consecutive failures that are bad
	History verifier.Duration   `json:"history"` // how much of it there is
	Span    verifier.Duration   `json:"span"`    // of a history observation; the step when 0
	Traffic float64             `json:"traffic"` // opportunities a step
	Level   float64             `json:"level"`
	Noise   float64             `json:"noise"`   // standard deviation of a value
	Daily   float64             `json:"daily"`   // swing of the level over a day, as a share
	Weekend *float64            `json:"weekend"` // share of the daily swing left on Saturdays and Sundays
	Changes []stretch           `json:"changes"`
	Control *storySignal        `json:"control"` // the control group: traffic, level, noise, daily and changes
}

// stretch is a time, counted from the deploy, in which something is different.
type stretch struct {
	From    verifier.Duration `json:"from"`
	To      verifier.Duration `json:"to"`
	Level   *float64          `json:"level"`
	Heals   bool              `json:"heals"`   // the level decays to normal over the stretch
	Outcome verifier.Outcome  `json:"outcome"` // instead of measured
	Every   int               `json:"every"`   // only every so many steps
	NaN     bool              `json:"nan"`
	Silent  bool              `json:"silent"` // no observation at all
	Message string            `json:"message"`
}

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			input, err := os.ReadFile(file)
			require.NoError(t, err)
			var s story
			require.NoError(t, json.Unmarshal(input, &s))
			got := tell(t, s)
			golden := strings.TrimSuffix(file, ".json") + ".golden"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}

// tell runs a story through its window and writes down what the judge said.
func tell(t *testing.T, s story) string {
	p := policy(s.Step.D(), s.Window.D(), s.Warmup.D(), s.Soak.D())
	history, window := map[string][]verifier.Observation{}, map[string][]verifier.Observation{}
	for i, sig := range s.Signals {
		p.Signals = append(p.Signals, sig.signal())
		r := rand.New(rand.NewPCG(7, uint64(i)))
		history[sig.Name] = sig.observe(r, s, -sig.History.D(), 0)
		window[sig.Name] = sig.observe(r, s, 0, s.Window.D())
		if sig.Control != nil {
			sig.besides(rand.New(rand.NewPCG(8, uint64(i))), s, history[sig.Name], window[sig.Name])
		}
	}
	var out []verifier.Span
	for _, l := range s.LeftOut {
		out = append(out, verifier.Span{From: deployed.Add(l.From.D()), To: deployed.Add(l.To.D())})
	}
	ev := evidenceWithout(t, p, history, window, out)
	for i, sig := range s.Signals {
		ev.Signals[i].Plan.Threshold = sig.Slow
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", s.About)
	cleared := ""
	var a verifier.Assessment
	for d := s.Step.D(); d <= s.Window.D(); d += s.Step.D() {
		var err error
		a, err = judge.Assess(ev, deployed.Add(d))
		require.NoError(t, err)
		if a.Cleared && cleared == "" {
			cleared = d.String()
		}
		if a.Decision != "" {
			fmt.Fprintf(&b, "%s after %s, early %v, cleared %q\n%s\n", a.Decision, d, a.Early, cleared, a.Summary)
			break
		}
	}
	for i, r := range a.Reasons {
		fmt.Fprintf(&b, "- [%s] %s\n", a.Findings[i].State, r)
	}
	return b.String()
}

func (s storySignal) signal() verifier.Signal {
	out := verifier.Signal{Name: s.Name, Kind: s.Kind, Role: verifier.Decisive, Delta: s.Delta, Epsilon: s.Epsilon, Worse: s.Worse, AtMost: s.AtMost, AtLeast: s.AtLeast}
	if s.Role != "" {
		out.Role = s.Role
	}
	out.Required = out.Role == verifier.Decisive
	switch {
	case s.Probe > 0:
		out.ProbeSource = &verifier.ProbeSource{ConsecutiveFailures: s.Probe}
	case s.Slow > 0:
		out.LatencySource = &verifier.LatencySource{}
	case s.Kind == verifier.Count:
		out.TicketSource = &verifier.TicketSource{}
	case s.Kind == verifier.Value:
		out.ValueSource = &verifier.ValueSource{}
	default:
		out.RatioSource = &verifier.RatioSource{}
	}
	if s.Control != nil {
		return withControl(out)
	}
	return out
}

// besides draws the control group of every step; where it was not measured, nor
// was the step.
func (s storySignal) besides(r *rand.Rand, st story, history, window []verifier.Observation) {
	c := *s.Control
	c.Kind, c.Slow, c.Span = s.Kind, s.Slow, s.Span
	for _, part := range []struct {
		obs      []verifier.Observation
		from, to time.Duration
	}{{history, -s.History.D(), 0}, {window, 0, st.Window.D()}} {
		for i, o := range c.observe(r, st, part.from, part.to) {
			ours := &part.obs[i]
			ours.Control = &verifier.Control{Bad: o.Bad, Total: o.Total, Value: o.Value}
			if o.Outcome != verifier.Measured {
				ours.Outcome, ours.Message, ours.Control = o.Outcome, o.Message, nil
			}
		}
	}
}

// observe draws the signal over (from, to], counted from the deploy.
func (s storySignal) observe(r *rand.Rand, st story, from, to time.Duration) []verifier.Observation {
	step := st.Step.D()
	if to <= 0 && s.Span > 0 {
		step = s.Span.D()
	}
	var out []verifier.Observation
	for at := from + step; at <= to; at += step {
		level := s.Level * (1 + s.swing(at)*math.Sin(2*math.Pi*(at.Hours()-step.Hours())/24))
		o := verifier.Observation{At: deployed.Add(at), Span: verifier.Duration(step), Outcome: verifier.Measured}
		nan, silent := false, false
		for _, c := range s.Changes {
			if at <= c.From.D() || at > c.To.D() || c.Every > 0 && int(at/step)%c.Every != 0 {
				continue
			}
			if c.Level != nil {
				level = *c.Level
				if c.Heals {
					share := float64(at-c.From.D()) / float64((c.To - c.From).D())
					level += (s.Level - level) * share
				}
			}
			if c.Outcome != "" {
				o.Outcome = c.Outcome
			}
			nan, silent, o.Message = c.NaN, c.Silent, c.Message
		}
		if o.Outcome == verifier.Measured {
			s.measure(r, &o, level, step, nan)
		}
		if !silent {
			out = append(out, o)
		}
	}
	return out
}

// swing is how far the level breathes on the day of a moment.
func (s storySignal) swing(at time.Duration) float64 {
	if day := deployed.Add(at).Weekday(); s.Weekend != nil && (day == time.Saturday || day == time.Sunday) {
		return s.Daily * *s.Weekend
	}
	return s.Daily
}

func (s storySignal) measure(r *rand.Rand, o *verifier.Observation, level float64, step time.Duration, nan bool) {
	switch {
	case s.Probe > 0:
		o.Total, o.Bad = 1, level
	case s.Kind == verifier.Ratio && s.Traffic > 0:
		o.Total = distuv.Poisson{Lambda: s.Traffic, Src: r}.Rand()
		o.Bad = min(o.Total, distuv.Poisson{Lambda: o.Total*level + 1e-12, Src: r}.Rand())
	case s.Kind == verifier.Count:
		o.Count = distuv.Poisson{Lambda: level*step.Hours() + 1e-12, Src: r}.Rand()
	case s.Kind == verifier.Value:
		o.Value = level + s.Noise*r.NormFloat64()
	}
	if nan {
		o.Bad, o.Value, o.Count = math.NaN(), math.NaN(), math.NaN()
	}
}
