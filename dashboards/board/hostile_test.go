package board_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/postflight/postflight/dashboards/board"
	"github.com/postflight/postflight/verifier"
)

// hostile fills every text of a verification that comes from outside.
func hostile(text string) verifier.Verification {
	v := acted(verifier.ActionDeclined, verifier.Guard(text), text)
	v.State = verifier.StateDecided
	d := &v.Deployment
	d.Service, d.Environment, d.Version, d.Previous, d.Actor, d.URL = text, text, text, text, text, text
	d.Source, d.DeploymentID, d.RollbackWhy, d.Rollback = text, text, text, true
	v.Verdict.Summary, v.Verdict.By, v.Policy = text, text, text
	v.Attribution = surroundings()
	c, n := &v.Attribution.Candidates[0], &v.Attribution.Neighbours[0]
	c.Service, c.Version, c.Change, n.Service, n.Change, n.Message = text, text, text, text, text, text
	v.Override = &verifier.Override{Decision: verifier.Keep, By: text, At: deployed, Reason: text}
	v.Feedback = []verifier.Feedback{{Decision: verifier.Wrong, By: text, At: deployed, Reason: text}}
	v.Action.Rollback, v.Action.TargetVersion, v.Action.RevertID = text, text, text
	for i := range v.Signals {
		f := &v.Signals[i]
		f.Name, f.Message, f.Query, f.State = text, text, text, verifier.SignalUnknown
	}
	for i := range v.Deliveries {
		v.Deliveries[i].Receiver, v.Deliveries[i].Reason = text, text
		for j := range v.Deliveries[i].Attempts {
			v.Deliveries[i].Attempts[j].Error, v.Deliveries[i].Attempts[j].Result = text, text
		}
	}
	return v
}

func TestHostileTextStaysText(t *testing.T) {
	for name, text := range map[string]string{
		"script":          `</title></style></svg><script>alert(1)</script><img src=x onerror=alert(1)>`,
		"attribute":       `" onmouseover="alert(1)" x='`,
		"javascript link": `javascript:alert(document.domain)`,
		"data link":       `data:text/html,<script>alert(1)</script>`,
		"credentials":     `https://ci.example@evil.example/`,
		"template":        `{{.Body}}{{template "layout"}}`,
		"entity":          `&#60;script&#62;&lt;b&gt;`,
	} {
		t.Run(name, func(t *testing.T) {
			f := fixture{v: hostile(text), now: deployed.Add(time.Hour)}
			for _, address := range []string{f.path(), "/", "/?service=" + "%22%3E%3Cscript%3E"} {
				w := ask(t, f.reader(), f.now, address, func(o *board.Options, _ *http.Request) {
					o.ExternalURL = func() string { return "https://ops.example" }
				})
				require.Equal(t, http.StatusOK, w.Code)
				wholesome(t, w.Body.String())
				require.NotContains(t, w.Body.String(), `href="`+html.EscapeString(text))
			}
		})
	}
}

func TestUnseenCharactersShow(t *testing.T) {
	f := fixture{v: hostile("1.41.3\u202e0.24.1\u200b\u2066\x00\x1b[31m\xff"), now: deployed.Add(time.Hour)}
	for _, address := range []string{f.path(), "/"} {
		body := ask(t, f.reader(), f.now, address).Body.String()
		wholesome(t, body)
		for _, r := range "\u202e\u200b\u2066\x00\x1b" {
			require.NotContains(t, body, string(r))
		}
		require.Contains(t, body, "1.41.3\ufffd0.24.1\ufffd\ufffd\ufffd\ufffd[31m\ufffd")
	}
}

func TestLongTextIsCut(t *testing.T) {
	v := hostile(strings.Repeat("x", 10_000))
	v.ID = "vf_long"
	f := fixture{v: v, now: deployed.Add(time.Hour)}
	body := ask(t, f.reader(), f.now, f.path()).Body.String()
	wholesome(t, body)
	require.Contains(t, body, strings.Repeat("x", 80)+"…")
	require.NotContains(t, body, strings.Repeat("x", 4001))
	wholesome(t, ask(t, f.reader(), f.now, "/").Body.String())
}

// TestPageOfEverythingAtOnceStaysSmall has more signals, steps, deliveries and
// attempts than a page can hold, all with long texts.
func TestPageOfEverythingAtOnceStaysSmall(t *testing.T) {
	v := hostile(strings.Repeat("<&\">", 500))
	v.ID, v.ClosesAt = "vf_all", deployed.Add(24*time.Hour)
	v.Verdict.DecidedAt = deployed.Add(12 * time.Hour)
	signal, delivery := v.Signals[1], v.Deliveries[1]
	for len(delivery.Attempts) < 100 {
		delivery.Attempts = append(delivery.Attempts, delivery.Attempts[0])
	}
	for range 100 {
		v.Signals, v.Deliveries = append(v.Signals, signal), append(v.Deliveries, delivery)
	}
	f := fixture{v: v, now: deployed.Add(25 * time.Hour)}
	body := ask(t, f.reader(), f.now, f.path()).Body.String()
	wholesome(t, body)
	require.Contains(t, body, "later events are in the raw record")
	require.Contains(t, body, "more signals are in the evidence")
}

// TestBoardOfLongNamesStaysSmall has as many deploys as a page lists, all under
// way, each of a place of its own, with names as long as the intake takes them.
func TestBoardOfLongNamesStaysSmall(t *testing.T) {
	for _, text := range []string{`"`, "<", "&", "🦊", "x"} {
		m := &memory{next: "more"}
		for i := range 55 {
			v := opened()
			v.ID = fmt.Sprintf("vf_01j8zk3tqm5w7x2ycv4b6n8p%02d", i)
			v.State = []verifier.State{verifier.StateObserving, verifier.StatePending}[i%2]
			d := &v.Deployment
			d.Service, d.Environment, d.Version = fmt.Sprint(i)+strings.Repeat(text, 240), strings.Repeat(text, 250), strings.Repeat(text, 250)
			m.list = append(m.list, v)
		}
		body := ask(t, m, deployed.Add(time.Minute), "/").Body.String()
		wholesome(t, body)
		for i := range 50 {
			require.Contains(t, body, fmt.Sprintf(`href="/verifications/vf_01j8zk3tqm5w7x2ycv4b6n8p%02d"`, i), "none of the list is left out")
		}
		require.Contains(t, body, "More are in the list below.")
	}
}

func TestOnlyWebAddressesAreLinks(t *testing.T) {
	for address, linked := range map[string]bool{
		"https://ci.example/918273":     true,
		"http://127.0.0.1:9300/run?x=1": true,
		"HTTPS://ci.example/":           true,
		"javascript:alert(1)":           false,
		"//ci.example/":                 false,
		"/verifications/x":              false,
		"ftp://ci.example/":             false,
		"https://":                      false,
		"https://user:pass@ci.example/": false,
		"https://ci.example/\x01":       false,
	} {
		v := opened()
		v.Deployment.URL = address
		f := fixture{v: v, now: deployed}
		body := ask(t, f.reader(), f.now, f.path()).Body.String()
		require.Equal(t, linked, strings.Contains(body, `rel="noreferrer noopener nofollow"`), address)
		require.Equal(t, !linked, strings.Contains(body, "(its address is no http link)"), address)
	}
}

func TestCommandsAreSafeToPaste(t *testing.T) {
	f := fixture{v: acted(verifier.ActionWithheld, verifier.GuardTarget, "none"), now: deployed}
	f.v.Deployment.Service, f.v.Deployment.Environment = `$(reboot) it's`, "-rf"
	body := html.UnescapeString(ask(t, f.reader(), f.now, f.path()).Body.String())
	require.Contains(t, body, `postflight mark '$(reboot) it'\''s' '-rf' VERSION good`)
}
