package intake

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// alertWith is a group of one alert, the recorded firing one with changes.
func alertWith(t testing.TB, changes ...string) string {
	t.Helper()
	var group struct {
		Alerts []json.RawMessage `json:"alerts"`
	}
	require.NoError(t, json.Unmarshal([]byte(recorded(t, "alertmanager.json")), &group))
	return `{"version":"4","status":"firing","alerts":[` + changed(t, string(group.Alerts[0]), changes...) + `]}`
}

func TestAlerts(t *testing.T) {
	for name, tt := range map[string]struct {
		changes              []string
		service, environment string // of the noted alert; "" where none is
		said                 string
	}{
		"as recorded":            {nil, "checkout", "production", "1 firing and 0 resolved noted"},
		"by its app":             {[]string{"labels.service", "-", "labels.app", `"cart"`}, "cart", "production", "1 firing"},
		"by its job":             {[]string{"labels.service", "-", "labels.job", `"cart"`}, "cart", "production", "1 firing"},
		"by env":                 {[]string{"labels.environment", "-", "labels.env", `"eu"`}, "checkout", "eu", "1 firing"},
		"no service":             {[]string{"labels.service", "-"}, "", "", "passed over 1 without a usable service"},
		"no environment":         {[]string{"labels.environment", "-"}, "", "", "passed over 1 without a usable environment"},
		"no start":               {[]string{"startsAt", "-"}, "", "", "passed over 1 without startsAt"},
		"another status":         {[]string{"status", `"pending"`}, "", "", `passed over 1 with status "pending"`},
		"no status":              {[]string{"status", "-"}, "", "", `passed over 1 with status ""`},
		"resolved":               {[]string{"status", `"resolved"`, "endsAt", `"2026-11-23T02:50:00Z"`}, "checkout", "production", "0 firing and 1 resolved"},
		"no fingerprint":         {[]string{"fingerprint", "-"}, "checkout", "production", "1 firing"},
		"no annotations, no url": {[]string{"annotations", "null", "generatorURL", "null"}, "checkout", "production", "1 firing"},
	} {
		t.Run(name, func(t *testing.T) {
			noted, said, err := alertmanager{}.alerts(http.Header{}, []byte(alertWith(t, tt.changes...)), Mapping{})
			require.NoError(t, err)
			require.Contains(t, said, tt.said)
			if tt.service == "" {
				require.Empty(t, noted)
				return
			}
			require.Len(t, noted, 1)
			require.Equal(t, tt.service, noted[0].Service)
			require.Equal(t, tt.environment, noted[0].Environment)
			require.NotEmpty(t, noted[0].Fingerprint)
			require.Equal(t, strings.Contains(tt.said, "1 resolved"), !noted[0].EndsAt.IsZero())
		})
	}
}

// A resolved alert has ended, whatever its end says: never would be firing, and
// so would a month ahead.
func TestAlertsResolvedWithoutAnEndThatHasBeen(t *testing.T) {
	for name, end := range map[string]string{
		"left out":     "-",
		"null":         "null",
		"the year 1":   `"0001-01-01T00:00:00Z"`,
		"a month away": `"` + time.Now().Add(30*24*time.Hour).UTC().Format(time.RFC3339) + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			before := time.Now()
			noted, said, err := alertmanager{}.alerts(http.Header{}, []byte(alertWith(t, "status", `"resolved"`, "endsAt", end)), Mapping{})
			require.NoError(t, err)
			require.Contains(t, said, "0 firing and 1 resolved")
			require.WithinRange(t, noted[0].EndsAt, before, time.Now())
		})
	}
}

func TestAlertsLeftOut(t *testing.T) {
	body := strings.Replace(alertWith(t), `"version"`, `"truncatedAlerts":7,"version"`, 1)
	_, said, err := alertmanager{}.alerts(http.Header{}, []byte(body), Mapping{})
	require.NoError(t, err)
	require.Contains(t, said, "left 7 alerts of the group out: raise max_alerts")
}

func TestAlertsMapped(t *testing.T) {
	m, err := NewMapping(`{{ .labels.team }}-{{ .labels.service | lower }}`, "$.labels.region", "")
	require.NoError(t, err)
	m, err = m.Only(map[string]string{"$.labels.severity": "crit*"})
	require.NoError(t, err)
	noted, _, err := alertmanager{}.alerts(http.Header{}, []byte(alertWith(t, "labels.team", `"pay"`, "labels.service", `"Checkout"`, "labels.region", `"eu"`)), m)
	require.NoError(t, err)
	require.Len(t, noted, 1)
	require.Equal(t, []string{"pay-checkout", "eu"}, []string{noted[0].Service, noted[0].Environment})
	noted, said, err := alertmanager{}.alerts(http.Header{}, []byte(alertWith(t, "labels.severity", `"info"`)), m)
	require.NoError(t, err)
	require.Empty(t, noted)
	require.Contains(t, said, `passed over 1 the source's only asks for $.labels.severity like "crit*", and it is "info"`)
}

func TestAlertsWrong(t *testing.T) {
	for name, tt := range map[string]struct{ body, field string }{
		"another body":      {`{"deployments":[]}`, "version"},
		"labels of numbers": {alertWith(t, "labels", `{"a":1}`), "alerts[0]"},
		"odd time":          {alertWith(t, "startsAt", `"soon"`), "alerts[0]"},
		"alerts as text":    {`{"version":"4","alerts":"none"}`, "alerts"},
		"too many":          {`{"version":"4","alerts":[` + strings.TrimSuffix(strings.Repeat("{},", maxAlerts+1), ",") + `]}`, "alerts"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := alertmanager{}.alerts(http.Header{}, []byte(tt.body), Mapping{})
			require.Equal(t, tt.field, wrongFields(t, err))
		})
	}
}

// An alert without a service still tells that its sender is alive, as the
// always firing one does that is routed to watch the watcher.
func TestAlertsTellThatTheirSourceIsAlive(t *testing.T) {
	d := start(t)
	r := d.post("/api/v1/hooks/alertmanager", `{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"Watchdog"},"startsAt":"2026-11-23T02:00:00Z"}]}`, byPassword(t, alertmanagerToken, "", ""))
	require.Equal(t, 200, r.status, r.body)
	require.Empty(t, d.memory.alerts)
	require.Equal(t, now, d.memory.heard["alertmanager"])
	require.Equal(t, map[string]int{"alertmanager noted": 1}, d.counts.all())

	d.memory.err = verifier.Errorf(verifier.Unavailable, "store alerts: locked")
	r = d.post("/api/v1/hooks/alertmanager", recorded(t, "alertmanager.json"), byPassword(t, alertmanagerToken, "", ""))
	require.Equal(t, 503, r.status)
	require.Equal(t, "1", r.header.Get("Retry-After"))
}

func FuzzAlertmanager(f *testing.F) {
	f.Add([]byte(`{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"A","service":"a","env":"e"},"startsAt":"2026-11-23T02:44:10Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"f"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		noted, said, err := alertmanager{}.alerts(http.Header{}, body, Mapping{})
		checkDecoded(t, verifier.Notification{}, first(said, "x"), err)
		for _, a := range noted {
			require.Empty(t, wrongText(a.Service, maxText))
			require.Empty(t, wrongText(a.Environment, maxText))
			require.NotEmpty(t, a.Fingerprint)
		}
	})
}
