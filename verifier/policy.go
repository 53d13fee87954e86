package verifier

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"time"
)

// Mode says whether a verdict may call the rollback hook.
type Mode string

// The modes of a policy.
const (
	Shadow  Mode = "shadow"  // judges and tells, calls nothing: the default
	Enforce Mode = "enforce" // acts
)

// Duration is a time.Duration that reads and writes as text ("30m0s") in JSON.
type Duration time.Duration

// D returns d as a time.Duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// String returns d as time.Duration prints it.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes d as time.Duration prints it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration understands.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("read duration: %w", err)
	}
	*d = Duration(v)
	return nil
}

// Policy says what a good deploy is, for the services that it matches. A
// verification keeps the copy it was opened with, so a reload changes nothing
// that is under way. It holds names of receivers and rollbacks, never secrets.
type Policy struct {
	Name           string           `json:"name"`
	Match          Match            `json:"match"`
	Mode           Mode             `json:"mode"`
	Window         Duration         `json:"window"`        // from the deploy's finish to the last possible verdict
	Interval       Duration         `json:"interval"`      // how often it looks
	Step           Duration         `json:"step"`          // resolution of observations and history, 1s to 5m
	Warmup         Duration         `json:"warmup"`        // judged from here: cold caches are not blamed
	Soak           Duration         `json:"soak"`          // never cleared earlier than this
	FalseReverts   float64          `json:"false_reverts"` // budget for one deploy, 0 < x < 1
	OnInconclusive Inconclusiveness `json:"on_inconclusive"`
	History        Duration         `json:"history"` // the past that says what is usual
	Signals        []Signal         `json:"signals"`
	Receivers      []string         `json:"receivers,omitempty"`
	// Tell is what each receiver wants to be told, by its name; one that isn't
	// here wants UsualChanges.
	Tell     map[string][]Change `json:"tell,omitempty"`
	Rollback string              `json:"rollback,omitempty"`
	// DependsOn are services of the same environment whose harm explains this
	// one's; OnAmbiguous says what overlapping deploys mean, hold when empty.
	DependsOn   []string    `json:"depends_on,omitempty"`
	OnAmbiguous OnAmbiguous `json:"on_ambiguous,omitempty"`
	// RevertExpires is how long after its verdict a rollback request may
	// still be sent; safety.revert_expires_after of the configuration.
	RevertExpires Duration `json:"revert_expires_after"`
	// ReleaseWindows are when rollbacks act by themselves, always where there
	// is none; in Freezes they never do. Outside they wait for a person.
	ReleaseWindows []Period `json:"release_windows,omitempty"`
	Freezes        []Period `json:"freezes,omitempty"`
	// IrreversiblePaths make a deploy irreversible whose changed paths match
	// one of them; ** stands for any number of folders.
	IrreversiblePaths []string `json:"irreversible_paths,omitempty"`
	// LiveVersion tells which version runs, to confirm rollbacks by; nil where
	// only the pipeline's announcement does.
	LiveVersion *VersionSource `json:"live_version,omitempty"`
	// Gate is what must hold before a deploy, beside what every gate asks.
	Gate *GatePolicy `json:"gate,omitempty"`
}

// VersionSource tells which version of a service runs: a label of a metric, or
// what a page of the service says.
type VersionSource struct {
	Server string `json:"server,omitempty"` // name of the configured Prometheus
	Query  string `json:"query,omitempty"`  // PromQL template
	Label  string `json:"label,omitempty"`  // of the query's series, that holds the version
	URL    string `json:"url,omitempty"`    // template of the page's address; instead of a query
	JSON   string `json:"json,omitempty"`   // RFC 9535 path to the version; "" takes the whole body
}

// Inconclusiveness says what an inconclusive verdict means to people.
type Inconclusiveness string

// What a policy may do about an inconclusive verdict. Neither reverts.
const (
	InconclusiveKeep Inconclusiveness = "keep" // told like a keep
	InconclusivePage Inconclusiveness = "page" // told as something to look at now
)

// Match selects deployments by shell patterns as in path.Match; "" matches
// everything.
type Match struct {
	Service     string `json:"service,omitempty"`
	Environment string `json:"environment,omitempty"`
}

// Matches reports whether the service and environment fit both patterns.
func (m Match) Matches(service, environment string) bool {
	return glob(m.Service, service) && glob(m.Environment, environment)
}

func glob(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

// PolicyFor returns the first policy that matches.
func PolicyFor(policies []Policy, service, environment string) (Policy, bool) {
	for _, p := range policies {
		if p.Match.Matches(service, environment) {
			return p, true
		}
	}
	return Policy{}, false
}

// Hash identifies a policy's content: the first 12 hex digits of the SHA-256
// of its JSON.
func (p Policy) Hash() string {
	b, err := json.Marshal(p)
	if err != nil {
		return "" // a Policy holds nothing that JSON can't; kept total for the caller's sake
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])[:12]
}

// Decisive returns the signals that may revert by themselves.
func (p Policy) Decisive() []Signal {
	var out []Signal
	for _, s := range p.Signals {
		if s.Role == Decisive {
			out = append(out, s)
		}
	}
	return out
}

// Signal returns the signal of that name.
func (p Policy) Signal(name string) (Signal, bool) {
	for _, s := range p.Signals {
		if s.Name == name {
			return s, true
		}
	}
	return Signal{}, false
}
