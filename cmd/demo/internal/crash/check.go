package crash

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver of the daemon's other store

	"github.com/postflight/postflight/cmd/demo/internal/pipeline"
	"github.com/postflight/postflight/cmd/internal/invariant"
	"github.com/postflight/postflight/verifier/safety"
)

// drainWithin is how long all may take to come to an end after the last kill:
// leases, windows, and the longest wait between two attempts of a
// rollback that was cut off several times.
const drainWithin = 12 * time.Minute

// unordered is how close two times may be that tell nothing of what came first:
// these worlds starve their daemons of processor time, and slow databases are
// waited for.
func (r Run) unordered() time.Duration {
	if s, err := scenarioOf(r.Scenario); err == nil && s.slow > 0 {
		return s.slow
	}
	return 2 * time.Second
}

// openRows counts what has not come to its end.
const openRows = `SELECT
	(SELECT count(*) FROM verifications WHERE state IN ('pending', 'observing')),
	(SELECT count(*) FROM deliveries WHERE state NOT IN ('delivered', 'discarded')),
	(SELECT count(*) FROM verifications WHERE action_state IN ('requested', 'accepted'))`

// drain lets what is under way come to its end, and then ends the daemon as a
// service manager does.
func (u *universe) drain(ctx context.Context, result *Result) error {
	begun := time.Now()
	u.load.stop()
	if err := u.sample(); err != nil {
		return err
	}
	db, err := u.open()
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // only read
	var watched, deliveries, actions int
	for time.Since(begun) < drainWithin {
		if err := db.QueryRowContext(ctx, openRows).Scan(&watched, &deliveries, &actions); err != nil {
			return fmt.Errorf("ask what is still open: %w", err)
		}
		if watched+deliveries+actions == 0 {
			result.Drained = since(begun)
			return u.stopAll()
		}
		if !sleep(ctx, 250*time.Millisecond) {
			return ctx.Err()
		}
	}
	return errors.Join(fmt.Errorf("%s after the last kill %d verifications, %d deliveries and %d rollbacks have not ended", drainWithin, watched, deliveries, actions),
		u.stopAll())
}

// sample looks at what the process holds.
func (u *universe) sample() error {
	held, err := u.daemon.Memory()
	if err != nil {
		return err
	}
	s := invariant.Sample{At: time.Now(), Resident: held.Peak}
	metrics, err := resty.New().SetTimeout(5 * time.Second).SetRetryCount(5).R().Get(u.daemon.URL() + "/metrics")
	if err != nil {
		return err
	}
	for line := range strings.Lines(metrics.String()) {
		var n float64
		if _, err := fmt.Sscanf(line, "go_goroutines %g", &n); err == nil {
			s.Goroutines = int(n)
		}
		if _, err := fmt.Sscanf(line, "process_open_fds %g", &n); err == nil {
			s.Descriptors = int(n)
		}
	}
	u.samples = append(u.samples, s)
	return nil
}

// sampleHeld looks at it for the slopes as well.
func (u *universe) sampleHeld() error {
	if err := u.sample(); err != nil {
		return err
	}
	now, err := u.daemon.Memory()
	if err != nil {
		return err
	}
	return u.note(u.samples[len(u.samples)-1], now.Resident)
}

func (u *universe) open() (*sql.DB, error) {
	if u.run.Store == PostgreSQL {
		return sql.Open("pgx", u.storage)
	}
	return sql.Open("sqlite", "file:"+u.database()+"?_pragma=busy_timeout(5000)&_pragma=query_only(1)")
}

// check holds what the run left against the invariants.
func (u *universe) check(ctx context.Context) (invariant.Report, invariant.State, error) {
	db, err := u.open()
	if err != nil {
		return invariant.Report{}, invariant.State{}, err
	}
	defer db.Close() //nolint:errcheck // only read
	state, err := invariant.Read(ctx, db)
	if err != nil {
		return invariant.Report{}, state, err
	}
	log, err := u.logs()
	if err != nil {
		return invariant.Report{}, state, err
	}
	older, err := u.decidedEarlier()
	if err != nil {
		return invariant.Report{}, state, err
	}
	return invariant.Evaluate(invariant.Run{
		State: state, Older: older, Ended: time.Now(), Poll: time.Second + u.scenario.late, Unordered: u.run.unordered(), Limits: safety.Limits{BrakeReverts: 100, BrakeWithin: time.Minute},
		Samples:       invariant.Seen(u.samples),
		Notifications: invariant.Seen(u.notified()), Lives: invariant.Seen(u.lives()),
		Rollbacks: invariant.Seen(calls(u.pipeline.Arrivals(pipeline.RollbackPath))),
		Messages:  invariant.Seen(calls(u.pipeline.Arrivals(pipeline.VerdictPath))),
		Secrets:   []string{token, hookSecret}, Outputs: invariant.Seen([]invariant.Output{{Where: "log", Text: log}}),
	}), state, nil
}

func calls(arrivals []pipeline.Arrival) (out []invariant.Call) {
	for _, a := range arrivals {
		out = append(out, invariant.Call{At: a.At, Header: a.Header, Body: a.Body, Status: a.Status})
	}
	return out
}

// notified is what was announced and answered.
func (u *universe) notified() (out []invariant.Notification) {
	for _, s := range u.pipeline.Sent() {
		n := invariant.Notification{At: s.SentAt.Add(s.Took), Source: "pipeline", DeliveryID: s.Header["Idempotency-Key"],
			Status: s.Status, VerificationID: s.VerificationID}
		var body struct{ Service, Environment, Version string }
		if json.Unmarshal(s.Sent, &body) != nil {
			continue
		}
		n.Service, n.Environment, n.Version = body.Service, body.Environment, body.Version
		out = append(out, n)
	}
	return out
}

// keep puts what a run left where it can be looked at, and returns where.
func (u *universe) keep(in string, report invariant.Report, state invariant.State) (string, error) {
	dir := filepath.Join(in, strings.ReplaceAll(u.run.Name(), " ", "-")+time.Now().Format("-150405"))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	stored, err := json.MarshalIndent(state, "", " ")
	log, errLog := u.logs()
	sent, errSent := json.MarshalIndent(map[string]any{"sent": u.pipeline.Sent(), "rollbacks": u.pipeline.Arrivals(pipeline.RollbackPath),
		"messages": u.pipeline.Arrivals(pipeline.VerdictPath), "lives": u.lives()}, "", " ")
	return dir, errors.Join(err, errLog, errSent,
		os.WriteFile(filepath.Join(dir, "report"), []byte(report.String()+"\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "state.json"), stored, 0o600),
		os.WriteFile(filepath.Join(dir, "world.json"), sent, 0o600),
		os.WriteFile(filepath.Join(dir, "postflight.log"), log, 0o600))
}
