package simulator

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

var peopleScenarios = []scenario{
	{id: "D29", happens: "A person says `keep` (or cancels the watch) at any moment around the verdict on a bad release and its rollback",
		expected: "1,000 interleavings: no call starts after the decision was recorded", ends: "no call after the decision", worlds: 20, quick: 1, run: overrideRaces},
	{id: "D30", happens: "Automated sync brings the bad version back ten minutes after each rollback, for 24 h", expected: "no tug of war: 1 revert, then withheld",
		ends: "1 revert, then loop", worlds: 5, quick: 1, run: tugOfWar},
}

// racesInOne is how many interleavings one world has: 20 worlds make 1,000.
const racesInOne = 50

func overrideRaces(t *testing.T, seed uint64) []string {
	var places []Place
	for i := range racesInOne {
		places = append(places, Place{"checkout", fmt.Sprintf("e%d", i+1)})
	}
	w := New(t, Options{Seed: seed, Places: places, Releases: bad, Signals: errorsSignal, Config: "safety: { brake: { reverts: 100, within: 15m } }"})
	each(places, w.settled)
	ids := make([]string, len(places))
	each(places, func(p Place) {
		i := slices.Index(places, p)
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		ids[i] = w.Deploy(p, "1.2")
		// Verdicts come six to nine minutes after the deploy, calls within 15 s
		// of them; half of the decisions follow a verdict closely.
		if r.IntN(2) == 0 {
			time.Sleep(5*time.Minute + time.Duration(r.Int64N(int64(4*time.Minute))))
		} else {
			w.verdict(ids[i])
			time.Sleep(time.Duration(r.Int64N(int64(20 * time.Second))))
		}
		w.override(ids[i], []verifier.Decision{verifier.Keep, verifier.Cancel}[r.IntN(2)])
	})
	time.Sleep(40 * time.Minute)
	var ends []string
	for _, id := range ids {
		ends = append(ends, callsAfter(w.Verification(id)))
	}
	return ends
}

// override decides as a person does; a cancel that comes too late is a
// Conflict, and changes nothing.
func (w *World) override(id string, d verifier.Decision) {
	body, err := json.Marshal(map[string]string{"decision": string(d), "reason": "I looked at it"})
	if err != nil {
		w.t.Errorf("write override: %v", err)
	}
	status, answer := w.Post("/api/v1/verifications/"+id+"/override", http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + personToken}}, body)
	if status != http.StatusOK && (d != verifier.Cancel || status != http.StatusConflict) {
		w.t.Errorf("override %s: %d: %s", d, status, answer)
	}
}

// callsAfter says whether a call began after a person had decided against it.
func callsAfter(v verifier.Verification) string {
	decided := v.Override
	for _, d := range v.Deliveries {
		for _, attempt := range d.Attempts {
			switch {
			case d.Kind != verifier.RollbackDelivery:
			case v.State == verifier.StateCancelled:
				return "a call of a cancelled verification"
			case decided != nil && attempt.At.After(decided.At):
				return "a call after the decision"
			}
		}
	}
	return "no call after the decision"
}

func tugOfWar(t *testing.T, seed uint64) []string {
	w := New(t, Options{Seed: seed, Style: Unmarked, Releases: bad})
	w.settled(Checkout)
	first := w.Deploy(Checkout, "1.2")
	require.Equal(t, verifier.Revert, w.decided(first).Verdict.Decision)
	last := first
	for range 24 * 6 {
		time.Sleep(10 * time.Minute)
		if w.Fleet.Version(Checkout) == "1.1" {
			last = w.Deploy(Checkout, "1.2")
		} else if w.Quiet() {
			break // nothing will change any more
		}
	}
	v := w.Verification(last)
	require.Equal(t, verifier.Revert, v.Verdict.Decision)
	return []string{w.reverts() + ", then " + string(v.Action.Guard)}
}
