package backtest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

var start = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

func minute(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }

// put is a deploy of a service under an hour's window, decided after ten minutes.
func put(service string, at int, label Label, decision verifier.Decision) *judged {
	d := deployment(service, "production", "1", minute(at))
	p := verifier.Policy{Window: verifier.Duration(time.Hour)}
	j := &judged{Deploy: Deploy{Deployment: d, Label: label}, policy: p}
	if decision != "" {
		v := verifier.Open(d, p, d.ReceivedAt)
		v, err := v.Decide(verifier.Verdict{Decision: decision, DecidedAt: minute(at + 10)}, verifier.Action{State: verifier.ActionNone})
		if err != nil {
			panic(err)
		}
		j.result = &v
	}
	return j
}

func TestWhatWasBadIsLeftOutOfWhatIsUsual(t *testing.T) {
	p := &past{deploys: []*judged{
		put("checkout", 0, Bad, verifier.Keep), put("checkout", 30, Good, verifier.Keep),
		put("checkout", 300, "", verifier.Revert), put("checkout", 1000, "", verifier.Keep), put("cart", 1100, Bad, ""),
	}}
	long := start.Add(-1000 * time.Hour)
	require.Equal(t, []verifier.Span{
		{From: minute(0), To: minute(30), Feedback: true}, // until the next had finished
		{From: minute(300), To: minute(420)},              // two windows: by then it is what is usual
	}, p.LeftOut("checkout", "production", long, minute(2000)))
	require.Len(t, p.LeftOut("checkout", "production", long, minute(305)), 1, "nobody knew yet that it would be reverted")
	require.Equal(t, []verifier.Span{{From: minute(300), To: minute(360)}}, p.LeftOut("checkout", "production", minute(100), minute(320)), "none came after it by then")
	require.Equal(t, []verifier.Span{{From: minute(1100), To: minute(1160), Feedback: true}}, p.LeftOut("cart", "production", long, minute(2000)))
	require.Empty(t, p.LeftOut("checkout", "staging", long, minute(2000)))
}

func TestSurroundingsAreThoseOfTheMoment(t *testing.T) {
	p := &past{deploys: []*judged{
		put("search", -600, "", verifier.Keep), put("cart", -30, "", verifier.Revert), put("search", 20, "", verifier.Keep), put("stock", -9000, "", verifier.Keep),
	}}
	v := verifier.Open(deployment("checkout", "production", "2", minute(0)), verifier.Policy{Window: verifier.Duration(time.Hour)}, minute(0))
	policy := verifier.Policy{Window: verifier.Duration(time.Hour)}
	services := func(list []verifier.Deployment) (out []string) {
		for _, d := range list {
			out = append(out, d.Service)
		}
		return out
	}
	near, overlapping := p.Surroundings(v, policy, minute(-10000), minute(5), 10)
	require.Equal(t, []string{"search", "stock"}, services(near), "cart was deployed within the window")
	require.Len(t, overlapping, 1)
	require.Equal(t, verifier.Revert, overlapping[0].Verification.Verdict.Decision)
	near, overlapping = p.Surroundings(v, policy, minute(-1000), minute(25), 10)
	require.Empty(t, services(near), "search was deployed meanwhile, stock too long ago")
	require.Len(t, overlapping, 2)
	require.Nil(t, overlapping[1].Verification.Verdict, "it was not decided yet")
	near, _ = p.Surroundings(v, policy, minute(-10000), minute(5), 1)
	require.Len(t, near, 1)
}

func TestPlacebosKeepClearOfDeploys(t *testing.T) {
	deploys := []*judged{put("checkout", 0, "", ""), put("checkout", 24*60+90, Bad, "")}
	deploys[0].Version, deploys[1].Version = "1", "2"
	where := verifier.Location{Service: "checkout", Environment: "production"}
	from, until := minute(-3*24*60), minute(5*24*60)
	list := placebos(deploys, where, time.Hour, from, until, 8)
	require.Len(t, list, 8)
	for _, d := range list {
		require.False(t, d.StartedAt.Before(from) || d.StartedAt.Add(time.Hour).After(until), "%s", d.StartedAt)
		require.Contains(t, []int{12 * 60, 13*60 + 30}, d.StartedAt.Hour()*60+d.StartedAt.Minute(), "at the clock time of a deploy")
		for _, j := range deploys {
			require.False(t, d.StartedAt.Add(time.Hour).After(j.StartedAt) && d.StartedAt.Before(j.StartedAt.Add(time.Hour)), "%s is within a deploy's window", d.StartedAt)
		}
	}
	require.Equal(t, "2", list[7].Version)
	many := placebos(deploys, where, time.Hour, from, until, 100)
	require.Len(t, many, 100, "then all over the time")
	require.Greater(t, independent(starts(many), time.Hour), 80)
	require.Empty(t, placebos(deploys, where, time.Hour, from, from.Add(time.Hour), 8), "no window fits")
	require.Empty(t, placebos(nil, where, time.Hour, from, until, 0))
}

func starts(list []verifier.Deployment) (out []time.Time) {
	for _, d := range list {
		out = append(out, d.StartedAt)
	}
	return out
}
