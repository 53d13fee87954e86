package backtest

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/engine"
	"github.com/postflight/postflight/verifier/judge"
	"github.com/postflight/postflight/verifier/safety"
)

// Set is one set of policies to judge by.
type Set struct {
	Name     string // as the result calls it: now, proposed
	Policies []verifier.Policy
	Limits   safety.Limits
	// Ranges reads the past; sets that ask the same servers share one.
	Ranges *Ranges
}

// Options is what is to be judged. Every field but Only and Progress is
// required.
type Options struct {
	Sets    []Set    // the first is what holds now
	Deploys []Deploy // as Merge returns them, of all services that are known
	// Only selects what is judged; the others are but surroundings. nil is all.
	Only func(verifier.Location) bool
	// Places are judged by placebos beside those of the deploys.
	Places      []verifier.Location
	From, Until time.Time
	Placebos    int // over all places, for each set; at least 0
	Log         *slog.Logger
	// Progress is told what was done so far of how much, of each set and of
	// each of its two parts.
	Progress func(doing string, done, all int)
}

// side is a run under one set.
type side struct {
	o      Options
	set    Set
	past   past
	places []*place
	notes  []string
}

// Run judges everything under every set. An error is a past that could not be
// read, or nothing that could be judged.
func Run(ctx context.Context, o Options) (Result, error) {
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	r := Result{From: o.From, Until: o.Until, Deploys: []Row{}, Placebos: []Row{}, Notes: []string{}}
	var sides []*side
	for _, set := range o.Sets {
		s := &side{o: o, set: set}
		if err := s.prepare(ctx); err != nil {
			return r, fmt.Errorf("%s: %w", set.Name, err)
		}
		sides = append(sides, s)
	}
	moments := sides[0].chosen()
	for _, s := range sides {
		deploys, err := s.deploys(ctx)
		if err != nil {
			return r, fmt.Errorf("%s: %w", s.set.Name, err)
		}
		fake, err := s.placebos(ctx, moments)
		if err != nil {
			return r, fmt.Errorf("%s: %w", s.set.Name, err)
		}
		r.add(s, deploys, fake)
	}
	r.finish()
	for _, t := range r.Tallies {
		if t.Deploys.Judged()+t.Placebo.Judged() > 0 {
			return r, nil
		}
	}
	return r, verifier.Errorf(verifier.NotFound, "nothing could be judged: %s", r.because())
}

// because says why nothing could be judged.
func (r Result) because() string {
	why := slices.Clone(r.Notes)
	for _, row := range r.Deploys {
		for _, o := range row.Outcomes {
			if text := fmt.Sprintf("%s %s: %s", row.Service, row.Version, o.Skipped); len(why) < fewReasons {
				why = append(why, text)
			}
		}
	}
	if len(why) == 0 {
		return "no deploy is known between these times, and no place for placebos"
	}
	return strings.Join(why, "; ")
}

const fewReasons = 5

func (s *side) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(s.notes, text) {
		s.notes = append(s.notes, text)
	}
}

// prepare finds the policies and surveys the past of the places to be judged.
func (s *side) prepare(ctx context.Context) error {
	var judgedAt []verifier.Location
	for _, d := range s.o.Deploys {
		p, _ := verifier.PolicyFor(s.set.Policies, d.Service, d.Environment)
		s.past.deploys = append(s.past.deploys, &judged{Deploy: d, policy: p})
		judgedAt = append(judgedAt, d.Location())
	}
	for _, at := range slices.Concat(judgedAt, s.o.Places) {
		if s.o.Only != nil && !s.o.Only(at) || s.place(at) != nil {
			continue
		}
		p, ok := verifier.PolicyFor(s.set.Policies, at.Service, at.Environment)
		if !ok {
			s.note("%s in %s: no policy matches it", at.Service, at.Environment)
			continue
		}
		s.places = append(s.places, &place{Location: at, policy: p, oldest: s.o.From})
	}
	for i, p := range s.places {
		s.o.Progress("read the past "+s.set.Name, i, len(s.places))
		if err := s.survey(ctx, p, s.o.From, s.o.Until); err != nil {
			return fmt.Errorf("%s in %s: %w", p.Service, p.Environment, err)
		}
		if p.blind != "" {
			s.note("%s in %s can't be judged: %s", p.Service, p.Environment, p.blind)
		}
	}
	s.o.Progress("read the past "+s.set.Name, len(s.places), len(s.places))
	return nil
}

func (s *side) place(at verifier.Location) *place {
	i := slices.IndexFunc(s.places, func(p *place) bool { return p.Location == at })
	if i < 0 {
		return nil
	}
	return s.places[i]
}

func (s *side) newestVersion(at verifier.Location) string {
	return running(s.of(at), s.o.Until)
}

func (s *side) of(at verifier.Location) []*judged {
	var out []*judged
	for _, j := range s.past.deploys {
		if j.Location() == at {
			out = append(out, j)
		}
	}
	return out
}

// skip says why a deploy can't be judged, "" where it can.
func (s *side) skip(j *judged) string {
	p := s.place(j.Location())
	switch {
	case p == nil:
		return "no policy matches it"
	case p.blind != "":
		return p.blind
	case j.closes().After(s.o.Until):
		return "its window has not ended"
	case j.StartedAt.Before(p.oldest):
		return "it lies before the oldest sample"
	case j.Recorded != nil && (j.Recorded.State == verifier.StateSuperseded || j.Recorded.State == verifier.StateCancelled):
		return "it was " + string(j.Recorded.State)
	}
	return ""
}

// deploys judges the deploys in order of time, for what is usual depends on
// which were reverted before; and those that count as bad while others overlap
// once more, now that all others are judged.
func (s *side) deploys(ctx context.Context) ([]Row, error) {
	var todo, rows = []*judged{}, []Row{}
	for _, j := range s.past.deploys {
		if j.StartedAt.Before(s.o.From) || j.StartedAt.After(s.o.Until) || s.o.Only != nil && !s.o.Only(j.Location()) {
			continue
		}
		if why := s.skip(j); why != "" {
			rows = append(rows, Row{Deploy: j.Deploy, Outcomes: map[string]Outcome{s.set.Name: {Skipped: why}}})
			continue
		}
		todo = append(todo, j)
	}
	for i, j := range todo {
		s.o.Progress("judge deploys "+s.set.Name, i, len(todo))
		if err := s.judge(ctx, j); err != nil {
			return nil, err
		}
	}
	for _, j := range todo {
		if j.spoilt(s.o.Until) && j.result.Verdict.Decision != verifier.Keep && s.past.overlaps(j) {
			if err := s.judge(ctx, j); err != nil {
				return nil, err
			}
		}
		rows = append(rows, Row{Deploy: j.Deploy, Outcomes: map[string]Outcome{s.set.Name: outcomeOf(*j.result)}})
	}
	s.o.Progress("judge deploys "+s.set.Name, len(todo), len(todo))
	return rows, nil
}

func (s *side) judge(ctx context.Context, j *judged) error {
	v, err := s.replay(ctx, j.Deployment, j.policy, s.set.Ranges.deploys())
	if err != nil {
		return err
	}
	s.past.settle(j, v)
	return nil
}

// chosen returns the moments of the placebos, the same for all sets.
func (s *side) chosen() []verifier.Deployment {
	var out []verifier.Deployment
	usable := slices.DeleteFunc(slices.Clone(s.places), func(p *place) bool { return p.blind != "" })
	for i, p := range usable {
		n := s.o.Placebos/len(usable) + min(1, max(0, s.o.Placebos%len(usable)-i))
		window := p.policy.Window.D()
		for _, other := range s.o.Sets { // a window of one set must not reach into a deploy under another
			if its, ok := verifier.PolicyFor(other.Policies, p.Service, p.Environment); ok {
				window = max(window, its.Window.D())
			}
		}
		found := placebos(s.of(p.Location), p.Location, window, s.since(p), s.o.Until, n)
		if len(found) < n {
			s.note("%s in %s: only %d placebos fit between its deploys", p.Service, p.Environment, len(found))
		}
		out = append(out, found...)
	}
	return out
}

// since is the first moment of a placebo: where it has a history, as far as the
// server keeps one.
func (s *side) since(p *place) time.Time {
	if p.oldest.Equal(s.o.From) {
		return s.o.From
	}
	return p.oldest.Add(min(judge.Reach(p.policy), s.o.Until.Sub(p.oldest)/2))
}

// placebos judges moments at which nothing was deployed, several at once.
func (s *side) placebos(ctx context.Context, moments []verifier.Deployment) ([]Row, error) {
	rows := make([]Row, len(moments))
	doing := "judge placebos " + s.set.Name
	var mu sync.Mutex
	done := 0
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, d := range moments {
		group.Go(func() error {
			rows[i] = Row{Deploy: Deploy{Deployment: d}, Outcomes: map[string]Outcome{}}
			switch p := s.place(d.Location()); {
			case p == nil || p.blind != "":
				rows[i].Outcomes[s.set.Name] = Outcome{Skipped: "it can't be judged under these policies"}
			case d.Version == "" && slices.ContainsFunc(p.policy.Signals, namesVersion):
				rows[i].Outcomes[s.set.Name] = Outcome{Skipped: "which version ran then is not known, and its queries name it"}
			default:
				v, err := s.replay(within, d, p.policy, s.set.Ranges.placebos())
				if err != nil {
					return err
				}
				rows[i].Outcomes[s.set.Name] = outcomeOf(v)
			}
			mu.Lock()
			defer mu.Unlock()
			s.o.Progress(doing, done, len(moments))
			done++
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	s.o.Progress(doing, done, len(moments))
	return rows, nil
}

func (s *side) replay(ctx context.Context, d verifier.Deployment, p verifier.Policy, m engine.Measurer) (verifier.Verification, error) {
	v, err := engine.Replay(ctx, engine.ReplayOptions{
		Past: &s.past, Policies: s.set.Policies, Limits: s.set.Limits, Log: s.o.Log,
		Measurers: map[verifier.SourceKind]engine.Measurer{
			verifier.FromRatio: m, verifier.FromLatency: m, verifier.FromValue: m, verifier.FromTraffic: m,
		},
	}, verifier.Check{Verification: verifier.Open(d, p, d.ReceivedAt), Policy: p})
	if err != nil {
		return v, fmt.Errorf("judge %s %s in %s of %s: %w", d.Service, d.Version, d.Environment, d.StartedAt.UTC().Format(date), err)
	}
	return v, nil
}
