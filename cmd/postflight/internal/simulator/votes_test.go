package simulator

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

var votesScenarios = []scenario{
	{id: "V1", happens: "Three people vote on good releases at any moment around the window and change their minds, where two no revert; the daemon restarts meanwhile",
		expected: "a revert on two people's no at least, and a keep on fewer", ends: "as the votes said", worlds: 10, quick: 1, run: votesAround},
	{id: "V2", happens: "The same, where the votes are advisory", expected: "no call", ends: "keep", worlds: 5, quick: 1, run: votesAdvisory},
}

var voters = []string{"kim", "sam", "eve"}

func votesSignal(role string) string {
	return errorsSignal + fmt.Sprintf("\n      - { name: demo, role: %s, votes: { no_at_least: 2 } }", role)
}

// polled is a world in which people vote on a good release of each place, and
// what became of them.
func polled(t *testing.T, seed uint64, role string) (*World, []verifier.Verification) {
	t.Helper()
	var places []Place
	for i := range 10 {
		places = append(places, Place{"checkout", fmt.Sprintf("e%d", i+1)})
	}
	w := New(t, Options{Seed: seed, Places: places, Signals: votesSignal(role), Voters: voters,
		Config: "safety: { brake: { reverts: 100, within: 15m } }"})
	each(places, w.settled)
	ids := make([]string, len(places))
	each(places, func(p Place) { ids[slices.Index(places, p)] = w.Deploy(p, "1.2") })
	restart := rand.New(rand.NewPCG(seed, 99)).Int64N(int64(30 * time.Minute))
	w.background.Go(func() {
		time.Sleep(time.Duration(restart))
		w.Stop()
		w.Start()
	})
	each(places, func(p Place) {
		i := slices.Index(places, p)
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		for range 6 {
			time.Sleep(time.Duration(r.Int64N(int64(11 * time.Minute))))
			w.vote(ids[i], voters[r.IntN(3)], []verifier.Ballot{verifier.Yes, verifier.No}[r.IntN(2)])
		}
	})
	time.Sleep(time.Hour)
	var out []verifier.Verification
	for _, id := range ids {
		out = append(out, w.Verification(id))
	}
	return w, out
}

// vote votes as a person does; one that comes too late is a Conflict, and
// nobody answers while the daemon restarts.
func (w *World) vote(id, who string, b verifier.Ballot) {
	body := fmt.Appendf(nil, `{"decision":%q,"reason":"I tried it"}`, b)
	if w.running() == nil {
		return
	}
	status, answer := w.Post("/api/v1/verifications/"+id+"/votes", http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + tokenOf(who)}}, body)
	if status != http.StatusOK && status != http.StatusConflict {
		w.t.Errorf("vote %s of %s: %d: %s", b, who, status, answer)
	}
}

// noBy is how many people said no last, by a moment, of those whose votes were
// taken.
func noBy(v verifier.Verification) (n int) {
	for _, vote := range v.Votes {
		if vote.Decision == verifier.No && !vote.At.After(v.Verdict.DecidedAt) {
			n++
		}
	}
	return n
}

func votesAround(t *testing.T, seed uint64) []string {
	_, all := polled(t, seed, "decisive")
	var ends []string
	reverts := 0
	for _, v := range all {
		require.NotNil(t, v.Verdict)
		no := noBy(v)
		if v.Verdict.Decision == verifier.Revert {
			reverts++
		}
		if (no >= 2) == (v.Verdict.Decision == verifier.Revert) {
			ends = append(ends, "as the votes said")
			continue
		}
		ends = append(ends, fmt.Sprintf("%s on %d no", v.Verdict.Decision, no))
	}
	require.Positive(t, reverts, "nobody was heard")
	require.Less(t, reverts, len(all), "everybody was of one mind")
	return ends
}

func votesAdvisory(t *testing.T, seed uint64) []string {
	w, all := polled(t, seed, "advisory")
	var ends []string
	bad := 0
	for _, v := range all {
		if noBy(v) >= 2 {
			bad++
		}
		ends = append(ends, string(v.Verdict.Decision))
	}
	require.Positive(t, bad, "nobody was against it")
	require.Empty(t, w.Pipeline.Calls())
	return ends
}
