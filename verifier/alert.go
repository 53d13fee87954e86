package verifier

import "time"

// AlertForgottenAfter is how long an alert that was told as firing, and never
// again, is taken to be firing still. Alertmanager repeats firing alerts every
// four hours by default; one whose end got lost must not fire for ever.
const AlertForgottenAfter = 5 * time.Hour

// Alert is what an alerting system told of one alert about one service. The
// same alert that fires again after it was resolved is another one.
type Alert struct {
	Source      string            `json:"source"`      // name of the configured source
	Fingerprint string            `json:"fingerprint"` // of its labels, as the source says; unique with StartsAt
	Name        string            `json:"name"`
	Service     string            `json:"service"`
	Environment string            `json:"environment"`
	Labels      map[string]string `json:"labels,omitempty"`
	StartsAt    time.Time         `json:"starts_at"`
	EndsAt      time.Time         `json:"ends_at,omitzero"` // zero while it fires
	ToldAt      time.Time         `json:"told_at"`          // our clock, at the latest notification about it
}

// Until returns when the alert ended, or until when it is known to have been
// firing.
func (a Alert) Until() time.Time {
	if !a.EndsAt.IsZero() {
		return a.EndsAt
	}
	return a.ToldAt.Add(AlertForgottenAfter)
}

// AlertSource is the alerts about the deploy's service and environment that an
// alerting system tells postflight.
type AlertSource struct {
	Source string `json:"source"` // name of the configured source of alerts
	// Labels are shell patterns as in path.Match that the alert's labels must
	// match, by their name; alertname is one of them.
	Labels map[string]string `json:"labels,omitempty"`
	// Heartbeat is how long after the last notification the source is believed
	// to be alive: later steps have no data. 0 believes it once it has told
	// anything.
	Heartbeat Duration `json:"heartbeat,omitempty"`
}

// Matches reports whether an alert has the labels.
func (s AlertSource) Matches(a Alert) bool {
	for name, pattern := range s.Labels {
		if value, ok := a.Labels[name]; !ok || !glob(pattern, value) {
			return false
		}
	}
	return true
}

// AlertHistory is what is known of a source's alerts about one service and
// environment, within a stretch of time.
type AlertHistory struct {
	Alerts []Alert
	// First and Last are when the source told anything at all, first and last;
	// zero when it never did.
	First, Last time.Time
}
