package alerting

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// TestGateInMessages: what was said of a release before it was deployed is told
// with its verdict.
func TestGateInMessages(t *testing.T) {
	told := func(d verifier.Deployment) string {
		return Tell(verifier.Event{Data: verifier.Verification{State: verifier.StateDecided, Deployment: d}}).Text()
	}
	require.Empty(t, told(verifier.Deployment{}), "the gate was not asked")
	require.Empty(t, told(verifier.Deployment{Gate: &verifier.GateSaid{Decision: verifier.Go}}), "a plain go is no news")
	require.Contains(t, told(verifier.Deployment{Gate: &verifier.GateSaid{Decision: verifier.NoGo, Reasons: []string{"no yes of quality", "frozen"}}}),
		"Deployed against the gate's no-go: no yes of quality; frozen")
	var many []verifier.Condition
	for i := range 7 {
		many = append(many, verifier.Condition{Text: fmt.Sprint(i), By: "quinn", Role: "quality"})
	}
	require.Contains(t, told(verifier.Deployment{Gate: &verifier.GateSaid{Decision: verifier.Go, Conditions: many}}),
		"Approved under conditions: 0 (quinn, quality); 1 (quinn, quality); 2 (quinn, quality); 3 (quinn, quality); 4 (quinn, quality); and 2 more")
	require.Contains(t, told(verifier.Deployment{Approval: &verifier.Approval{By: []string{"dana", "kim"}, Conditions: []string{"off-peak only"}}}),
		"Approved under conditions: off-peak only (dana, kim)")
}
