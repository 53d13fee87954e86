package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/pipeline"
	"github.com/postflight/postflight/cmd/demo/internal/world"
	"github.com/postflight/postflight/verifier"
)

// everyMessageIsSigned checks that nothing that came to the pipeline was
// refused, and that each kind of change was told.
func everyMessageIsSigned(t *testing.T, w *world.World) {
	kinds := map[verifier.EventType]int{}
	for _, path := range []string{pipeline.VerdictPath, pipeline.RollbackPath} {
		for _, a := range w.Pipeline.Arrivals(path) {
			require.Empty(t, a.Problem, "%s %s", a.Method, a.Path)
		}
	}
	for _, told := range w.Pipeline.Told("") {
		kinds[told.Type]++
	}
	t.Logf("messages: %v", kinds)
	require.Positive(t, kinds[verifier.EventDecided])
	require.Positive(t, kinds[verifier.EventActionChanged])
	require.Positive(t, kinds[verifier.EventSuperseded])
}
