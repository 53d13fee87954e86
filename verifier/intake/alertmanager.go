package intake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// alertmanager is the webhook of Prometheus' Alertmanager, version 4. Its
// alerts start no verification; they are noted for the alerts signals of those
// that run. It sends a bearer token or name and password.
type alertmanager struct{ passwords }

// maxAlerts is how many alerts of a group are read; a receiver's max_alerts
// sends fewer.
const maxAlerts = 10_000

// alertGroup is what is read of the webhook's body.
type alertGroup struct {
	Version   string            `json:"version"`
	GroupKey  string            `json:"groupKey"`
	Truncated int               `json:"truncatedAlerts"`
	Status    string            `json:"status"`
	Alerts    []json.RawMessage `json:"alerts"`
}

// toldAlert is one of its alerts.
type toldAlert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"` // the year 1 while it fires
	Fingerprint string            `json:"fingerprint"`
}

func (alertmanager) decode(h http.Header, body []byte, m Mapping) (verifier.Notification, string, error) {
	_, ignored, err := alertmanager{}.alerts(h, body, m)
	return verifier.Notification{}, ignored, err
}

// alerts reads the alerts of a group that are about a service and environment,
// and says how many those were.
func (alertmanager) alerts(_ http.Header, body []byte, m Mapping) ([]verifier.Alert, string, error) {
	group, err := readEvent[alertGroup](body, "webhook of Alertmanager")
	if err != nil {
		return nil, "", err
	}
	switch {
	case group.Version == "" && group.GroupKey == "":
		return nil, "", verifier.InvalidFields("this is no webhook of Alertmanager's", verifier.FieldError{Field: "version", Message: `is required, such as "4"`})
	case len(group.Alerts) > maxAlerts:
		return nil, "", verifier.InvalidFields("the group has too many alerts", verifier.FieldError{Field: "alerts", Message: fmt.Sprintf("must be at most %d: set max_alerts of the receiver's webhook", maxAlerts), Value: fmt.Sprint(len(group.Alerts))})
	}
	var noted []verifier.Alert
	var wrong []verifier.FieldError
	firing, others := 0, tally{}
	for i, raw := range group.Alerts {
		if why := m.passedOver(raw); why != "" {
			others.add(why)
			continue
		}
		a, why, err := readAlert(raw, m)
		switch {
		case err != nil:
			wrong = append(wrong, verifier.FieldError{Field: fmt.Sprintf("alerts[%d]", i), Message: err.Error(), Value: shorten(string(raw))})
			continue
		case why != "":
			others.add(why)
			continue
		}
		if a.EndsAt.IsZero() {
			firing++
		}
		noted = append(noted, a)
	}
	if len(wrong) > 0 {
		return nil, "", verifier.InvalidFields("these alerts can't be read", wrong...)
	}
	said := fmt.Sprintf("alerts start nothing by themselves: %d firing and %d resolved noted for alerts signals", firing, len(noted)-firing)
	said += others.String()
	if len(noted) == 0 {
		said += "; heard as a sign of life" // a Watchdog is sent for nothing else
	}
	if group.Truncated > 0 {
		said += fmt.Sprintf("; Alertmanager left %d alerts of the group out: raise max_alerts of the receiver's webhook", group.Truncated)
	}
	return noted, said, nil
}

// readAlert reads one alert; why says what keeps it from being about a service
// and environment.
func readAlert(raw json.RawMessage, m Mapping) (a verifier.Alert, why string, err error) {
	var t toldAlert
	if err := json.Unmarshal(raw, &t); err != nil {
		return a, "", fmt.Errorf("must be an alert with labels, startsAt and endsAt: %s", shorten(err.Error()))
	}
	a = verifier.Alert{
		Fingerprint: t.Fingerprint, Name: printable(t.Labels["alertname"]), StartsAt: t.StartsAt.UTC(), Labels: labelled(t.Labels),
		Service:     firstLabel(t.Labels, serviceLabels),
		Environment: firstLabel(t.Labels, environmentLabels),
	}
	if t.Status == "resolved" {
		// Without an end that has been, it ended at the latest now.
		if a.EndsAt = t.EndsAt.UTC(); a.EndsAt.IsZero() || a.EndsAt.After(time.Now()) {
			a.EndsAt = time.Now().UTC()
		}
	}
	for _, name := range m.names(&a.Service, &a.Environment, nil, origins{service: "labels", environment: "labels"}) {
		if name.rule.written != "" {
			*name.value, _ = name.rule.find(raw)
		}
		found := Name{Key: name.key, Value: *name.value, From: "labels." + strings.Join(alertLabels[name.key], ", ")}
		if name.rule.written != "" {
			found.From = name.rule.field(name.key)
		}
		if wrongText(*name.value, maxText) != "" {
			found.Wrong = "names none; the source's map." + name.key + " can say where it is"
			why = "without a usable " + name.key
		}
		if m.trace != nil {
			*m.trace = append(*m.trace, found)
		}
	}
	switch {
	case why != "":
	case t.Status != "firing" && t.Status != "resolved":
		why = fmt.Sprintf("with status %q", shorten(t.Status))
	case t.StartsAt.IsZero():
		why = "without startsAt"
	}
	if a.Fingerprint == "" || wrongText(a.Fingerprint, 255) != "" {
		labels, _ := json.Marshal(t.Labels) // no map of texts can't be written, and keys are sorted
		a.Fingerprint = digestOf(string(labels))
	}
	return a, why, nil
}

// The labels that say what an alert is about, the first there is.
var (
	serviceLabels     = []string{"service", "app", "app_kubernetes_io_name", "job"}
	environmentLabels = []string{"environment", "env"}
	alertLabels       = map[string][]string{"service": serviceLabels, "environment": environmentLabels}
)

func firstLabel(labels map[string]string, names []string) string {
	for _, name := range names {
		if labels[name] != "" {
			return labels[name]
		}
	}
	return ""
}

// tally counts what was passed over, by the reason.
type tally struct {
	order []string
	count map[string]int
}

func (t *tally) add(why string) {
	if t.count == nil {
		t.count = map[string]int{}
	}
	if t.count[why] == 0 {
		t.order = append(t.order, why)
	}
	t.count[why]++
}

// String is what was passed over as the end of a sentence; of many reasons the
// first few.
func (t *tally) String() string {
	text := ""
	for i, why := range t.order {
		if i == 3 {
			return text + "; and others"
		}
		text += fmt.Sprintf("; passed over %d %s", t.count[why], why)
	}
	return text
}
