package cdevents

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sdk "github.com/cdevents/sdk-go/pkg/api"
	sdk05 "github.com/cdevents/sdk-go/pkg/api/v05"
	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/internal/samples"
	"github.com/postflight/postflight/alerting/receivertest"
	"github.com/postflight/postflight/verifier"
)

const token = "a-token-of-the-broker" // #nosec G101 -- a fake's

func TestConformance(t *testing.T) {
	receivertest.Run(t, receivertest.Subject{
		Delivery: samples.Of("reverted", nil).Delivery(), Secrets: []string{token, "passw0rd", "T0KEN-IN-PATH"},
		Open: func(t *testing.T, address string, transport http.RoundTripper) alerting.Receiver {
			r, err := New("bus", strings.Replace(address, "http://", "http://proxy-user:passw0rd@", 1)+"/T0KEN-IN-PATH", token, transport)
			require.NoError(t, err)
			return r
		},
	})
}

// sent is an event as a broker gets it.
type sent struct {
	request *http.Request
	body    []byte
}

func send(t *testing.T, token string, s samples.Sample) (alerting.Result, sent) {
	t.Helper()
	var got sent
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = sent{r, body}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	r, err := New("bus", server.URL+"/events", token, nil)
	require.NoError(t, err)
	return r.Send(t.Context(), s.Delivery()), got
}

// TestEventOfEachMessage holds each event against the schemas of CDEvents 0.5,
// by their SDK, and reads its CloudEvent by that of CloudEvents.
func TestEventOfEachMessage(t *testing.T) {
	for _, s := range samples.All() {
		t.Run(s.Name, func(t *testing.T) {
			result, got := send(t, token, s)
			require.Equal(t, alerting.Result{Outcome: alerting.Delivered, Status: 202}, result)
			samples.Golden(t, s.Name, token, got.request, got.body)

			event, err := sdk05.NewFromJsonBytes(got.body)
			require.NoError(t, err)
			require.NoError(t, sdk.Validate(event))
			require.Equal(t, s.Delivery().ID, event.GetId())
			var told custom
			require.NoError(t, event.GetCustomDataAs(&told))
			require.Equal(t, s.Event.Data.ID, told.Postflight.VerificationID)

			message := cehttp.NewMessage(got.request.Header, io.NopCloser(strings.NewReader(string(got.body))))
			require.Equal(t, binding.EncodingBinary, message.ReadEncoding())
			cloud, err := binding.ToEvent(t.Context(), message)
			require.NoError(t, err)
			require.NoError(t, cloud.Validate())
			require.Equal(t, event.GetId(), cloud.ID())
			require.Equal(t, event.GetSource(), cloud.Source())
			require.Equal(t, event.GetSubjectId(), cloud.Subject())
			require.Equal(t, event.GetTimestamp(), cloud.Time())
			require.Equal(t, "application/cdevents+json; charset=utf-8", cloud.DataContentType())
			var context struct {
				Context struct{ Type string }
			}
			require.NoError(t, json.Unmarshal(got.body, &context))
			require.Equal(t, context.Context.Type, cloud.Type())
		})
	}
}

func TestTypes(t *testing.T) {
	want := map[string]string{
		"opened": "dev.cdeventsx.postflight-verification.started.0.1.0", "cleared": "dev.cdeventsx.postflight-verification.cleared.0.1.0",
		"kept": "dev.cdeventsx.postflight-verification.finished.0.1.0", "inconclusive": "dev.cdeventsx.postflight-verification.finished.0.1.0",
		"superseded": "dev.cdeventsx.postflight-verification.finished.0.1.0", "cancelled": "dev.cdeventsx.postflight-verification.finished.0.1.0",
		"reverted": "dev.cdevents.incident.detected.0.3.0", "withheld": "dev.cdevents.incident.detected.0.3.0",
		"rolled-back": "dev.cdevents.incident.resolved.0.3.0", "accepted": "dev.cdeventsx.postflight-verification.changed.0.1.0",
		"failed": "dev.cdeventsx.postflight-verification.changed.0.1.0", "overruled": "dev.cdeventsx.postflight-verification.changed.0.1.0",
	}
	for _, s := range samples.All() {
		require.Equal(t, want[s.Name], eventOf("dl_1", s.Event).Context.Type, s.Name)
	}
}

func TestWhatTheSchemaWouldRefuseIsLeftOut(t *testing.T) {
	s := samples.Of("reverted", func(v *verifier.Verification) {
		v.URL, v.Deployment.Labels = "", map[string]string{"artifact": "checkout:7", "chain": "not a uuid"}
	})
	result, got := send(t, "", s)
	require.NoError(t, result.Err)
	require.Empty(t, got.request.Header.Get("Authorization"))
	event, err := sdk05.NewFromJsonBytes(got.body)
	require.NoError(t, err)
	require.NoError(t, sdk.Validate(event))
	require.Equal(t, "/postflight", event.GetSource())
	require.NotContains(t, string(got.body), "chainId")
	require.NotContains(t, string(got.body), "artifactId")

	s = samples.Of("reverted", func(v *verifier.Verification) {
		v.Deployment.Labels["chain"] = "4c8cb7dd-3448-41de-8768-eec704e2829b"
	})
	_, got = send(t, "", s)
	event, err = sdk05.NewFromJsonBytes(got.body)
	require.NoError(t, err)
	require.NoError(t, sdk.Validate(event))
	require.Contains(t, string(got.body), `"chainId":"4c8cb7dd-3448-41de-8768-eec704e2829b"`)
}

func TestNewRefuses(t *testing.T) {
	_, err := New("bus", "bus.example/T0KEN-IN-PATH", "", nil)
	require.EqualError(t, err, `cdevents "bus": url must be an absolute http or https URL`)
}
