package safety

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postflight/postflight/verifier"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// allowed returns facts that no guard objects to.
func allowed() verifier.Facts {
	verified := verifier.Deployment{
		ID: "dp_2", Service: "checkout", Environment: "production", Version: "1.42.0",
		Status: verifier.DeployFinished, FinishedAt: ago(10 * time.Minute), ReceivedAt: ago(10 * time.Minute),
	}
	target := verified
	target.ID, target.Version, target.FinishedAt = "dp_1", "1.41.3", ago(26*time.Hour)
	return verifier.Facts{
		Now: now, Mode: verifier.Enforce, Rollback: "pipeline-rollback",
		Deployment: verified, Current: verified, Target: &target,
	}
}

func reverted(id, service string, before time.Duration) verifier.PastRevert {
	return verifier.PastRevert{RevertID: id, Service: service, Environment: "production", At: ago(before)}
}
