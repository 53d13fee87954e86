package intake

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func batchOf(events ...string) string { return "[" + strings.Join(events, ",") + "]" }

func cdEventOf(t *testing.T, id string, changes ...string) string {
	t.Helper()
	return structured(t, cdEventWith(t, append([]string{"context.id", quoted(id), "subject.id", quoted("service-" + id)}, changes...)...))
}

func TestBatch(t *testing.T) {
	d := start(t)
	body := batchOf(cdEventOf(t, "1"), cdEventOf(t, "2", "context.type", `"dev.cdevents.service.removed.0.3.0"`), cdEventOf(t, "3"))
	h := cdeventsHeaders("Content-Type", batchMedia)
	r := d.post("/api/v1/hooks/tekton", body, h)
	require.Equal(t, 202, r.status, r.body)
	require.Len(t, r.Events, 3)
	require.NotEmpty(t, r.Events[0].VerificationID)
	require.NotEmpty(t, r.Events[1].Ignored)
	require.NotEqual(t, r.Events[0].VerificationID, r.Events[2].VerificationID)
	require.Equal(t, map[string]int{"tekton accepted": 2, "tekton ignored": 1}, d.counts.all())

	again := d.post("/api/v1/hooks/tekton", body, h)
	require.Equal(t, 200, again.status, again.body)
	require.Equal(t, r.Events, again.Events)

	one := d.post("/api/v1/hooks/tekton", batchOf(cdEventOf(t, "4")), h)
	require.Equal(t, 202, one.status)
	require.NotEmpty(t, one.VerificationID, "a batch of one is answered as one")
	empty := d.post("/api/v1/hooks/tekton", "[]", h)
	require.Equal(t, 200, empty.status)
	require.Equal(t, "the batch is empty", empty.Ignored)
}

// One wrong event costs no other: those that could be taken are, and sending
// the whole again changes nothing.
func TestBatchWithWrongEvents(t *testing.T) {
	d := start(t)
	body := batchOf(cdEventOf(t, "1"), cdEventOf(t, "2", "subject.content.artifactId", "-"), "7", cdEventOf(t, "4"))
	for range 2 {
		r := d.post("/api/v1/hooks/tekton", body, cdeventsHeaders("Content-Type", batchMedia))
		require.Equal(t, 422, r.status, r.body)
		require.Contains(t, r.Detail, "2 of the batch's 4 events were taken")
		require.Equal(t, []string{"[1].subject.content.artifactId", "[2]"}, r.fields())
		require.Len(t, d.memory.verifications, 2)
	}
	d.memory.err = verifier.Errorf(verifier.Unavailable, "store notification: locked")
	r := d.post("/api/v1/hooks/tekton", body, cdeventsHeaders("Content-Type", batchMedia))
	require.Equal(t, 503, r.status, "what may pass is tried again")
}

func TestBatchThatIsNone(t *testing.T) {
	for body, status := range map[string]int{
		"{}": 400, "null": 200, "[": 400, "[{}]x": 400, batchOf(strings.Split(strings.Repeat("{} ", maxBatch+1), " ")[:maxBatch+1]...): 400, "[{}]": 422,
	} {
		d := start(t)
		r := d.post("/api/v1/hooks/tekton", body, cdeventsHeaders("Content-Type", batchMedia))
		require.Equal(t, status, r.status, r.body)
		require.Zero(t, d.memory.rows())
	}
	d := start(t)
	r := d.post("/api/v1/hooks/github", "[]", githubHeaders("ping", "1", "[]"))
	require.NotEqual(t, 415, r.status)
	h := githubHeaders("deployment_status", "1", "[]")
	h.Set("Content-Type", batchMedia)
	require.Equal(t, 415, d.post("/api/v1/hooks/github", "[]", h).status, "only CDEvents come in batches")
}
