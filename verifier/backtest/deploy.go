package backtest

import (
	"cmp"
	"slices"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Label is what people know of a deploy: whether it should have been kept.
type Label string

// The labels; "" is a deploy of which nobody said anything, or people differ.
const (
	Good Label = "good"
	Bad  Label = "bad"
)

// Origin is where a deploy is known from.
type Origin string

// The origins of deploys.
const (
	FromHistory Origin = "history" // the daemon verified it
	FromFile    Origin = "file"    // a line of a CSV
	FromVersion Origin = "version" // its version appeared in a label
)

// Deploy is one deploy of the past.
type Deploy struct {
	verifier.Deployment
	Origin Origin
	Label  Label
	// Recorded is what the daemon made of it then; nil where it didn't.
	Recorded *verifier.Verification
}

// FromVerification returns the deploy that a daemon's record tells of, labelled
// by what people said of its verdict.
func FromVerification(v verifier.Verification) Deploy {
	return Deploy{Deployment: v.Deployment, Origin: FromHistory, Label: labelOf(v), Recorded: &v}
}

// labelOf says by feedback whether a deploy was good: a keep that was wrong was
// a bad deploy. Of an inconclusive verdict feedback says nothing of that.
func labelOf(v verifier.Verification) Label {
	if v.Verdict == nil || v.Verdict.Decision == verifier.Inconclusive {
		return ""
	}
	var says []Label
	for _, f := range v.Feedback {
		kept := v.Verdict.Decision == verifier.Keep
		if kept == (f.Decision == verifier.Right) {
			says = append(says, Good)
		} else {
			says = append(says, Bad)
		}
	}
	if len(says) == 0 || slices.Contains(says, Good) && slices.Contains(says, Bad) {
		return ""
	}
	return says[0]
}

// sameDeploy is how far apart two accounts of one deploy may be.
const sameDeploy = 15 * time.Minute

// Merge returns all deploys in order of their start, each once: what a file
// says of a deploy that the daemon verified labels that one, and a version that
// appeared is only news where nobody else told of it.
func Merge(lists ...[]Deploy) []Deploy {
	all := slices.Concat(lists...)
	rank := map[Origin]int{FromHistory: 0, FromFile: 1, FromVersion: 2}
	slices.SortStableFunc(all, func(a, b Deploy) int { return cmp.Compare(rank[a.Origin], rank[b.Origin]) })
	var out []Deploy
	for _, d := range all {
		i := slices.IndexFunc(out, func(other Deploy) bool { return other.Origin != d.Origin && same(other.Deployment, d.Deployment) })
		switch {
		case i < 0:
			out = append(out, d)
		case d.Label != "":
			out[i].Label = d.Label
		}
	}
	slices.SortStableFunc(out, func(a, b Deploy) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Environment, b.Environment))
	})
	return out
}

func same(a, b verifier.Deployment) bool {
	return a.Location() == b.Location() && a.Version == b.Version && a.FinishedAt.Sub(b.FinishedAt).Abs() <= sameDeploy
}
