package board

import (
	"net/http"
	"net/url"

	"github.com/postflight/postflight/verifier"
)

// decisions is the part of the verdict page that people decide on; nil where no
// API takes what they decide.
type decisions struct {
	Told    []string // what was stored just now, and how things stand since
	Choices []choice // about the verdict
	Rate    []choice
	Says    []said
	Vote    []choice // on a deploy that is watched
	Votes   []said
	Frozen  []frozen
	Freeze  *choice
	Brake   *choice
	Unread  bool // what is frozen could not be read
}

type frozen struct {
	Text string
	End  choice
}

// decisions collects what a person may do about a verification, and what they
// just did.
func (h *Handler) decisions(r *http.Request, v verifier.Verification, now *Brake) *decisions {
	if h.opts.API == nil {
		return nil
	}
	base := h.prefix() + "/verifications/" + url.PathEscape(v.ID) + "/decide?"
	offer := func(d deed) choice {
		return choice{d.offer(v), base + url.Values{"do": {string(d)}}.Encode()}
	}
	out := &decisions{Says: sayings(v.Feedback), Votes: votings(v.Votes)}
	for _, d := range choices(v) {
		switch {
		case d.rates():
			out.Rate = append(out.Rate, offer(d))
		case d.votes():
			out.Vote = append(out.Vote, offer(d))
		default:
			out.Choices = append(out.Choices, offer(d))
		}
	}
	switch {
	case now != nil && !now.Engaged:
		engage := offer(doEngage)
		out.Brake = &engage
	case now != nil, v.Action.Guard == verifier.GuardBrake:
		release := offer(doBrake)
		out.Brake = &release
	}
	all, err := h.freezes(r)
	if err != nil {
		h.opts.Log.Error("read what is frozen", "verification", v.ID, "error", err)
		out.Unread = true
	}
	in := freezesOf(v, all)
	for _, f := range in {
		q := url.Values{"do": {string(doUnfreeze)}, "freeze": {f.ID}}
		out.Frozen = append(out.Frozen, frozen{frozenText(f), choice{doUnfreeze.offer(v), base + q.Encode()}})
	}
	if len(in) == 0 && !out.Unread {
		freeze := offer(doFreeze)
		out.Freeze = &freeze
	}
	out.Told = h.told(r, v, in, r.URL.Query().Get("told"))
	return out
}

// told says what is stored of the newest decision of a kind, and how things
// stand since. It is read from the store: whoever follows an address that
// somebody else made up reads what is true all the same.
func (h *Handler) told(r *http.Request, v verifier.Verification, in []verifier.Freeze, kind string) []string {
	now := "As of " + clock(h.opts.Now()) + ": "
	switch kind {
	case "override":
		o := v.PersonSays()
		if o == nil {
			return nil
		}
		out := []string{stored(o.By, o.At, "decided "+string(o.Decision), o.Reason)}
		if o.Outcome != "" {
			out = append(out, clean(o.Outcome, sentenceLength))
		}
		if sent := sentAlready(v); sent != "" && o.Decision != verifier.Revert {
			out = append(out, sent+" To undo it, deploy "+name(v.Deployment.Version)+" again.")
		}
		return append(out, now+look{v: v, now: h.opts.Now()}.done())
	case "feedback":
		if len(v.Feedback) == 0 {
			return nil
		}
		f := v.Feedback[0]
		return []string{stored(f.By, f.At, "says the verdict was "+string(f.Decision), f.Reason), v.FeedbackOutcome(f.Decision)}
	case "vote":
		if len(v.Votes) == 0 {
			return nil
		}
		vote := v.Votes[0]
		return []string{stored(vote.By, vote.At, "voted "+string(vote.Decision), vote.Reason)}
	case "freeze", "unfreeze":
		out := h.lastly(r, verifier.AuditAction(kind), map[string]string{"freeze": "froze " + placeOf(v), "unfreeze": "ended a freeze of " + placeOf(v)}[kind], v.Deployment.Location())
		if out == nil {
			return nil
		}
		if len(in) == 0 {
			return append(out, now+placeOf(v)+" is not frozen.")
		}
		for _, f := range in {
			out = append(out, now+frozenText(f))
		}
		return out
	case "engage":
		return h.lastly(r, verifier.AuditBrakeEngage, "engaged the brake", verifier.Location{})
	case "brake":
		return h.lastly(r, verifier.AuditBrakeRelease, "released the brake", verifier.Location{})
	}
	return nil
}

// lastly says what the newest decision of a kind was.
func (h *Handler) lastly(r *http.Request, action verifier.AuditAction, what string, where verifier.Location) []string {
	last, err := h.last(r, action, where)
	if err != nil {
		h.opts.Log.Error("read the last decision", "action", string(action), "error", err)
		return []string{"What was stored could not be read just now: postflight audit lists it."}
	}
	if last == nil {
		return nil
	}
	return []string{stored(last.By, last.At, what, last.Reason)}
}
