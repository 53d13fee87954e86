package crash

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-resty/resty/v2"
)

// Scenario is a fault that lasts for a while under load, in place of kills.
type Scenario struct {
	Name string
	Row  string // of the fault matrix in docs/robustness.md
	// Quick ones are among the ordinary tests.
	Quick bool
	Store string // "" is SQLite
	// slow is how long a transaction may take; 0 is two seconds.
	slow time.Duration
	// late is how much longer the daemon may take over everything: verdicts in
	// time are promised to who has a database.
	late time.Duration
	// storeFaults are those that the daemon puts before its own store.
	storeFaults string
	// replicas share the store; 0 is one daemon alone.
	replicas int
	// upgrade says that they are of the earlier version at first.
	upgrade bool
	// traced daemons have every write written down, for the power to fail.
	traced bool
	do     func(ctx context.Context, u *universe) error
}

// How long a world lives before and after a fault of the network.
const (
	before = 4 * time.Second
	after  = 8 * time.Second
)

// Scenarios are all of them.
var Scenarios = slices.Concat([]Scenario{
	{Name: "SIGTERM at every step on SQLite", Row: "F4", Quick: true, slow: 5 * time.Second, do: terminateAtEveryStep},
	{Name: "SIGTERM at every step on PostgreSQL", Row: "F4", Store: PostgreSQL, slow: 5 * time.Second, do: terminateAtEveryStep},
	{Name: "the power fails", Row: "F3", slow: 5 * time.Second, traced: true, do: powerLost},
	{Name: "a hundred deploys at once, killed among them", Row: "F36", do: herd(100)},
	{Name: "a hundred deploys at once, killed among them, on PostgreSQL", Row: "F36", Store: PostgreSQL, do: herd(100)},
	{Name: "an hour of load", Row: "F35", Store: PostgreSQL, storeFaults: "*=unavailable@1%", do: loadFor(time.Hour)},
	{Name: "20 minutes of load", Row: "F35", storeFaults: "*=unavailable@1%", do: loadFor(20 * time.Minute)},
	{Name: "SIGTERM twice", Row: "F4", Quick: true, do: terminateTwice},
	{Name: "database refused for 1 s", Row: "F6", Quick: true, Store: PostgreSQL, do: databaseGone(down, time.Second)},
	{Name: "database refused for 30 s", Row: "F6", Store: PostgreSQL, do: databaseGone(down, 30*time.Second)},
	{Name: "database refused for 10 min", Row: "F6", Store: PostgreSQL, late: 10 * time.Minute, do: databaseGone(down, 10*time.Minute)},
	{Name: "database silent for 30 s", Row: "F6", Store: PostgreSQL, do: databaseGone(toxic{Type: "timeout", Attributes: map[string]int{"timeout": 0}}, 30*time.Second)},
	{Name: "database resets connections for 10 s", Row: "F6", Store: PostgreSQL, do: databaseGone(toxic{Type: "reset_peer", Attributes: map[string]int{"timeout": 100}}, 10*time.Second)},
	{Name: "database takes 2 s a statement", Row: "F7", Store: PostgreSQL, slow: 20 * time.Second, do: databaseSlow},
	{Name: "database ends every session, 20 times", Row: "F8", Store: PostgreSQL, do: sessionsEnded},
}, onLink("F11", toPrometheus, true,
	down, toxic{Type: "timeout", Attributes: map[string]int{"timeout": 0}},
	toxic{Type: "reset_peer", Attributes: map[string]int{"timeout": 0}},
	toxic{Type: "limit_data", Attributes: map[string]int{"bytes": 120}},
), onLink("F14", toPrometheus, false,
	toxic{Type: "bandwidth", Attributes: map[string]int{"rate": 1}},
	toxic{Type: "slicer", Attributes: map[string]int{"average_size": 1, "size_variation": 0, "delay": 10_000}},
), onLink("F18", toHook, true,
	toxic{Type: "limit_data", Attributes: map[string]int{"bytes": 1}}, // it was done, and the answer is lost
	down, toxic{Type: "timeout", Attributes: map[string]int{"timeout": 0}},
	toxic{Type: "reset_peer", Stream: "upstream", Attributes: map[string]int{"timeout": 0}},
	toxic{Type: "latency", Attributes: map[string]int{"latency": 4000}},
), onLink("F37", toReceiver, true,
	down, toxic{Type: "timeout", Attributes: map[string]int{"timeout": 0}},
	toxic{Type: "limit_data", Attributes: map[string]int{"bytes": 1}},
), onLink("F11", toService, false,
	down, toxic{Type: "timeout", Attributes: map[string]int{"timeout": 0}},
), stopped(), []Scenario{
	{Name: "rolling upgrade from an earlier version", Row: "F34", Store: PostgreSQL, replicas: 2, upgrade: true, late: earlierLease, do: rollingUpgrade},
})

// onLink makes a scenario of each fault of a link, with the first of them quick.
func onLink(row, link string, quick bool, faults ...toxic) (out []Scenario) {
	for i, t := range faults {
		out = append(out, Scenario{Name: link + ": " + t.String(), Row: row, Quick: quick && i == 0, do: func(ctx context.Context, u *universe) error {
			return u.during(ctx, link, t, 10*time.Second, nil)
		}})
	}
	return out
}

// herd announces many services at once, and kills the daemon while it watches
// them all.
func herd(n int) func(context.Context, *universe) error {
	return func(ctx context.Context, u *universe) error {
		u.load.still.Store(true)
		for range n {
			u.load.goDo(u.load.openService)
		}
		for range 2 {
			if !sleep(ctx, 3*time.Second) {
				return ctx.Err()
			}
			if err := errors.Join(u.sample(), u.daemon.Kill(), u.daemon.Start(ctx)); err != nil {
				return err
			}
		}
		return nil
	}
}

// loadFor goes on for long, and looks every half a minute at what the daemon
// holds.
func loadFor(d time.Duration) func(context.Context, *universe) error {
	return func(ctx context.Context, u *universe) error {
		if !sleep(ctx, 30*time.Second) {
			return ctx.Err()
		}
		for end := time.Now().Add(d); time.Now().Before(end); {
			if err := u.sampleHeld(); err != nil {
				return err
			}
			if !sleep(ctx, 30*time.Second) {
				return ctx.Err()
			}
		}
		return nil
	}
}

func scenarioOf(name string) (Scenario, error) {
	for _, s := range Scenarios {
		if s.Name == name {
			return s, nil
		}
	}
	return Scenario{}, fmt.Errorf("no scenario %q", name)
}

// during lets a fault last under load, asking at every moment what must hold.
func (u *universe) during(ctx context.Context, link string, t toxic, lasts time.Duration, hold func() error) error {
	if !sleep(ctx, before) {
		return ctx.Err()
	}
	heal, err := u.network.poison(link, t)
	if err != nil {
		return err
	}
	var wrong error
	for end := time.Now().Add(lasts); wrong == nil && time.Now().Before(end) && sleep(ctx, min(500*time.Millisecond, time.Until(end))); {
		if hold != nil {
			wrong = hold()
		}
	}
	if err := errors.Join(wrong, heal()); err != nil {
		return err
	}
	if !sleep(ctx, after) {
		return ctx.Err()
	}
	if !u.daemon.Running() {
		return fmt.Errorf("the daemon did not outlive it:\n%s", u.daemon.Log())
	}
	return u.answers("/-/ready", http.StatusOK)
}

// databaseGone: nothing is acknowledged while the database is away, and the
// sender is told to come again.
func databaseGone(t toxic, lasts time.Duration) func(context.Context, *universe) error {
	return func(ctx context.Context, u *universe) error {
		return u.during(ctx, toDatabase, t, lasts, func() error {
			u.load.still.Store(lasts > time.Minute) // or there would be too much to look through afterwards
			if err := u.answers("/-/healthy", http.StatusOK); err != nil {
				return err
			}
			return u.refusesForNow()
		})
	}
}

// refusesForNow announces a deploy once, which must not be acknowledged.
func (u *universe) refusesForNow() error {
	res, err := resty.New().SetTimeout(12*time.Second).R().SetHeader("Authorization", "Bearer "+token).
		SetBody(map[string]string{"service": "quick-lost", "environment": "production", "version": "never"}).Post(u.daemon.URL() + "/api/v1/deployments")
	switch {
	case err != nil:
		return fmt.Errorf("announce a deploy without a database: %w", err)
	case res.StatusCode() != http.StatusServiceUnavailable || res.Header().Get("Retry-After") == "":
		return fmt.Errorf("a deploy without a database was answered %s, Retry-After %q: %s", res.Status(), res.Header().Get("Retry-After"), res.String())
	}
	return nil
}

func (u *universe) answers(path string, status int) error {
	var got string
	for range 20 {
		res, err := resty.New().SetTimeout(5 * time.Second).R().Get(u.daemon.URL() + path)
		if err == nil && res.StatusCode() == status {
			return nil
		}
		got = fmt.Sprint(err)
		if err == nil {
			got = res.Status()
		}
		time.Sleep(250 * time.Millisecond)
	}
	return fmt.Errorf("%s answers %s, not %d", path, got, status)
}

// databaseSlow: the daemon lives, is not ready, and piles nothing up.
func databaseSlow(ctx context.Context, u *universe) error {
	slow := toxic{Type: "latency", Attributes: map[string]int{"latency": 2000}}
	return u.during(ctx, toDatabase, slow, 25*time.Second, func() error {
		if err := u.answers("/-/healthy", http.StatusOK); err != nil {
			return err
		}
		if err := u.answers("/-/ready", http.StatusServiceUnavailable); err != nil {
			return err
		}
		return u.sample()
	})
}

// sessionsEnded is what a failover looks like from here.
func sessionsEnded(ctx context.Context, u *universe) error {
	db, err := u.open()
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // nothing is left to lose
	for range 20 {
		if !sleep(ctx, 500*time.Millisecond) {
			return ctx.Err()
		}
		_, err := db.ExecContext(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'postflight'`)
		if err != nil {
			return err
		}
	}
	if !sleep(ctx, after) {
		return ctx.Err()
	}
	return u.answers("/-/ready", http.StatusOK)
}
