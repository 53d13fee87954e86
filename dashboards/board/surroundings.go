package board

import (
	"cmp"
	"fmt"
	"net/url"
	"time"

	"github.com/postflight/postflight/verifier"
)

// surroundingView is a row of what surrounded a deploy whose own signals said
// revert: another deploy, or a service without one.
type surroundingView struct {
	Service, Version string
	Link             string // to its verdict page; "" for none
	Is               string // a dependency, an overlapping deploy or a neighbour
	Status           badge
	Text             string // what its worst signal did, or why it isn't known
	Onset            *moment
}

// surroundings lists other deploys first, for they are what people look at, how
// many rows were left out, and what is known without a row.
func (l look) surroundings() (rows []surroundingView, more int, note string) {
	at := l.v.Attribution
	if at == nil {
		at = &verifier.Attribution{}
	}
	judged := map[string]bool{}
	var out []surroundingView
	for _, c := range at.Candidates {
		judged[c.VerificationID] = true
		row := surroundingView{Service: name(c.Service), Version: name(c.Version), Is: "deployed " + clock(c.StartedAt),
			Status: candidateBadge(c.State), Text: clean(c.Change, 200)}
		if c.VerificationID != "" {
			row.Link = l.prefix + "/verifications/" + url.PathEscape(c.VerificationID)
		}
		if c.Onset != nil {
			m := momentAt(*c.Onset).since(*c.Onset, l.v.Deployment.FinishedAt)
			row.Onset = &m
		}
		out = append(out, row)
	}
	for _, o := range l.around {
		if !judged[o.ID] {
			out = append(out, l.nearby(o))
		}
	}
	for _, n := range at.Neighbours {
		row := surroundingView{Service: name(n.Service), Is: "without a deploy", Status: neighbourBadge(n.State), Text: clean(cmp.Or(n.Change, n.Message), 200)}
		if n.Dependency {
			row.Is = "a dependency"
		}
		if n.Onset != nil {
			m := momentAt(*n.Onset).since(*n.Onset, l.v.Deployment.FinishedAt)
			row.Onset = &m
		}
		out = append(out, row)
	}
	if l.askedAround && len(l.around) == 0 && len(at.Candidates) == 0 {
		note = fmt.Sprintf("No other deploy in %s within %d minutes of this one.", name(l.v.Deployment.Environment), int(aroundWithin/time.Minute))
	}
	shown := min(len(out), l.room.events)
	return out[:shown], len(out) - shown, note
}

// nearby is a deploy of another service, or an earlier or later one of this, of
// which nothing is known but that it was near.
func (l look) nearby(o verifier.Verification) surroundingView {
	d := o.Deployment
	at := momentAt(d.FinishedAt).since(d.FinishedAt, l.v.Deployment.FinishedAt)
	return surroundingView{
		Service: name(d.Service), Version: name(d.Version), Link: l.prefix + "/verifications/" + url.PathEscape(o.ID),
		Is: "deployed " + clock(d.FinishedAt), Status: stateBadge(o), Text: cmp.Or(at.Offset, "at the same time"),
	}
}

func candidateBadge(s verifier.CandidateState) badge {
	switch s {
	case verifier.CandidateBad:
		return badge{"✖", "bad as well", "bad"}
	case verifier.CandidateUnclear:
		return badge{"◔", "can't be told yet", "warn"}
	}
	return badge{"✔", "nothing against it", "good"}
}

func neighbourBadge(s verifier.NeighbourState) badge {
	switch s {
	case verifier.NeighbourWorse:
		return badge{"✖", "got worse", "bad"}
	case verifier.NeighbourUnknown:
		return badge{"?", "unknown", "quiet"}
	}
	return badge{"✔", "steady", "good"}
}
