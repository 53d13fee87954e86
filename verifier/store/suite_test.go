package store_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/store"
)

// database is one kind of database under the conformance suite.
type database struct {
	// place returns the url of a fresh, empty database.
	place func(t *testing.T) string
}

func TestSQLite(t *testing.T) {
	conform(t, database{place: func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "postflight.db") }})
}

// conform is what every database must do.
func conform(t *testing.T, db database) {
	for name, test := range map[string]func(*testing.T, database){
		"accept": testAccept,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, db) })
	}
}

// start is when the tests' world begins: with microseconds, and not in UTC.
var start = time.Date(2026, 11, 23, 3, 41, 7, 123456789, time.FixedZone("CET", 3600))

func open(t *testing.T, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func policy() verifier.Policy {
	return verifier.Policy{
		Name: "default", Mode: verifier.Enforce, Window: verifier.Duration(30 * time.Minute), Interval: verifier.Duration(15 * time.Second),
		Receivers: []string{"chat"}, Rollback: "argo", RevertExpires: verifier.Duration(30 * time.Minute),
		Signals: []verifier.Signal{
			{Name: "errors", Kind: verifier.Ratio, Role: verifier.Decisive, RatioSource: &verifier.RatioSource{Server: "main", Bad: "b", Total: "t"}},
			{Name: "login", Kind: verifier.Ratio, Role: verifier.Decisive, ProbeSource: &verifier.ProbeSource{ConsecutiveFailures: 3}},
		},
	}
}

func notification(version string, at time.Time) verifier.Notification {
	return verifier.Notification{Source: "ci", DeliveryID: "delivery-" + version, Deployment: verifier.Deployment{
		Source: "ci", DeploymentID: "deploy-" + version, Service: "checkout", Environment: "production",
		Version: version, Status: verifier.DeployFinished, StartedAt: at.Add(-time.Minute), FinishedAt: at,
	}}
}

func accept(t *testing.T, s *store.Store, n verifier.Notification, now time.Time) verifier.Acceptance {
	t.Helper()
	a, _, err := s.Accept(context.Background(), n, []verifier.Policy{policy()}, now)
	require.NoError(t, err)
	return a
}
