package intake

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

const recordedArtifact = "pkg:oci/myapp@sha256%3A0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427"

// cdEventWith is the recorded event about a deployed service, with changes as
// event makes them.
func cdEventWith(t testing.TB, changes ...string) string {
	t.Helper()
	return changed(t, recorded(t, "cdevents_service_deployed.json"), changes...)
}

// structured wraps a CDEvent into the CloudEvent of structured mode.
func structured(t testing.TB, event string) string {
	t.Helper()
	var parts cdEvent
	require.NoError(t, json.Unmarshal([]byte(event), &parts))
	b, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": parts.Context.ID, "source": parts.Context.Source, "type": parts.Context.Type,
		"subject": parts.Subject.ID, "datacontenttype": "application/cdevents+json", "data": json.RawMessage(event),
	})
	require.NoError(t, err)
	return string(b)
}

func cdeventsHeaders(pairs ...string) http.Header {
	return headers(append([]string{"Content-Type", "application/cdevents+json; charset=UTF-8", "Authorization", "Bearer " + cdeventsToken,
		"ce-specversion", "1.0"}, pairs...)...)
}

func cdeventsConformances(t *testing.T) map[string]conformance {
	t.Helper()
	event := recorded(t, "cdevents_service_deployed.json")
	id := "/event/source/123 271069a8-fc18-44f1-b38f-9d70a1695819"
	want := verifier.Deployment{
		DeploymentID: id, Service: "mySubject123", Environment: "test123",
		Version:    "sha256:0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427",
		Status:     verifier.DeployFinished,
		FinishedAt: time.Date(2023, 3, 20, 14, 27, 5, 315384000, time.UTC),
		Labels:     map[string]string{"artifact": recordedArtifact, "chain": "4c8cb7dd-3448-41de-8768-eec704e2829b"},
	}
	minimal := `{"context":{"id":"1","type":"dev.cdevents.service.upgraded.0.1.0"},"subject":{"id":"a","content":{"environment":{"id":"production"},"artifactId":"pkg:oci/a@1"}}}`
	hostile := `{"context":{"id":"1\u0000","type":"dev.cdevents.service.deployed.0.3.0","timestamp":"soon"},"subject":{"id":"my\u202eapp","source":"javascript:alert(1)","content":{"environment":{"id":"pro\nd"},"artifactId":"pkg:oci/a@1%00"}},"customData":{"postflight_revert_id":"\u0007"}}`
	wrong := []string{"context.id", "context.timestamp", "subject.content.artifactId", "subject.content.environment.id", "subject.id"}
	binary := conformance{
		format: "cdevents", source: "tekton", scheme: "bearer", own: cdeventsToken, sign: byBearer("application/cdevents+json; charset=UTF-8"),
		valid: event, minimal: minimal, hostile: hostile, wrong: wrong, want: want, delivery: id,
		required: []string{"context", "context.id", "context.type", "subject", "subject.id", "subject.content", "subject.content.environment", "subject.content.environment.id", "subject.content.artifactId"},
		nothing:  cdEventWith(t, "context.type", `"dev.cdevents.service.removed.0.3.0"`),
		echo:     recorded(t, "cdevents_service_rolledback.json"),
	}
	enveloped := binary
	enveloped.sign = byBearer("application/cloudevents+json")
	enveloped.valid, enveloped.minimal, enveloped.hostile = structured(t, event), structured(t, minimal), structured(t, hostile)
	enveloped.nothing, enveloped.echo = structured(t, binary.nothing), structured(t, binary.echo)
	enveloped.required = nil
	for _, field := range binary.required {
		if !strings.HasPrefix(field, "context") { // the envelope says it as well
			enveloped.required = append(enveloped.required, "data."+field)
		}
	}
	enveloped.required = append(enveloped.required, "data")
	signed := binary
	signed.source, signed.scheme, signed.own, signed.timed = "keptn", "webhook", keptnKey, true
	signed.sign = bySecret("application/cdevents+json")
	return map[string]conformance{"cdevents, binary": binary, "cdevents, structured": enveloped, "cdevents, signed": signed}
}

func decodeCDEvent(t testing.TB, changes ...string) (verifier.Notification, string, error) {
	t.Helper()
	return cdevents{}.decode(http.Header{}, []byte(cdEventWith(t, changes...)), Mapping{})
}

func TestCDEventsTypes(t *testing.T) {
	tests := map[string]struct {
		rollback bool
		ignored  string
	}{
		"dev.cdevents.service.deployed.0.1.0":       {},
		"dev.cdevents.service.deployed.0.2.0":       {},
		"dev.cdevents.service.deployed.0.3.0":       {},
		"dev.cdevents.service.deployed.0.4.0-draft": {},
		"dev.cdevents.service.upgraded.0.3.0":       {},
		"dev.cdevents.service.deployed":             {},
		"dev.cdevents.service.rolledback.0.3.0":     {rollback: true},
		"dev.cdevents.service.removed.0.3.0":        {ignored: "the service was removed: there is nothing left to verify"},
		"dev.cdevents.service.published.0.3.0":      {ignored: "service published starts nothing: only service deployed, upgraded and rolledback do"},
		"dev.cdevents.service.melted.9.0.0":         {ignored: "service melted starts nothing: only service deployed, upgraded and rolledback do"},
		"dev.cdevents.ticket.created.0.2.0":         {ignored: `event "dev.cdevents.ticket.created.0.2.0" starts nothing: only service deployed, upgraded and rolledback do`},
		"dev.cdeventsx.service.deployed.0.3.0":      {ignored: `event "dev.cdeventsx.service.deployed.0.3.0" starts nothing: only service deployed, upgraded and rolledback do`},
		"com.example.service.deployed.0.3.0":        {ignored: `event "com.example.service.deployed.0.3.0" starts nothing: only service deployed, upgraded and rolledback do`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n, ignored, err := decodeCDEvent(t, "context.type", `"`+name+`"`)
			require.NoError(t, err)
			require.Equal(t, tt.ignored, ignored)
			require.Equal(t, tt.rollback, n.Deployment.Rollback)
			require.Equal(t, ignored == "", n.Deployment.Service == "mySubject123")
		})
	}
}

func TestCDEventsIgnoredIsAnsweredWell(t *testing.T) {
	d := start(t)
	for _, body := range []string{
		cdEventWith(t, "context.type", `"dev.cdevents.service.published.0.3.0"`, "subject", `{"id":7}`),
		`{"specversion":"1.0","type":"com.example.order.placed","id":"1","source":"/shop","data":{"order":1}}`,
		`{"order":1}`,
	} {
		r := d.post("/api/v1/hooks/tekton", body, cdeventsHeaders("ce-type", "com.example.order.placed"))
		require.Equal(t, 200, r.status, r.body)
		require.NotEmpty(t, r.Ignored)
	}
	require.Zero(t, d.memory.rows())
	require.Equal(t, map[string]int{"tekton ignored": 3}, d.counts.all())
}

// A broker brings the events of others as well, and their data is theirs.
func TestForeignCloudEventsAreIgnored(t *testing.T) {
	const foreign = `{"specversion":"1.0","type":"com.example.order.placed","id":"1","source":"/shop"`
	d := start(t)
	for _, rest := range []string{
		`}`, `,"data":null}`, `,"data":"placed"}`, `,"data":[1,2]}`, `,"data":7}`, `,"data_base64":"cGxhY2Vk"}`, `,"data_base64":"!"}`, `,"data":{"order":1}}`,
	} {
		r := d.post("/api/v1/hooks/tekton", foreign+rest, cdeventsHeaders("Content-Type", "application/cloudevents+json"))
		require.Equal(t, 200, r.status, "%s: %s", rest, r.body)
		require.NotEmpty(t, r.Ignored)
	}
	r := d.post("/api/v1/hooks/tekton", `["placed"]`, cdeventsHeaders("Content-Type", "application/json", "ce-type", "com.example.order.placed"))
	require.Equal(t, 200, r.status, r.body)
	for body, status := range map[string]int{
		`{"specversion":"1.0","type":"dev.cdevents.service.deployed.0.3.0","id":"1","source":"/s","data":"x"}`: 400,
		`{"specversion":"1.0","type":"dev.cdevents.service.deployed.0.3.0","id":"1","source":"/s"}`:            422,
		foreign + `,"id":"2","data":"x"}`: 400, // which of the two?
		foreign:                           400,
	} {
		r := d.post("/api/v1/hooks/tekton", body, cdeventsHeaders("Content-Type", "application/cloudevents+json"))
		require.Equal(t, status, r.status, "%s: %s", body, r.body)
	}
}

func TestCDEventsRollback(t *testing.T) {
	d := start(t)
	body := recorded(t, "cdevents_service_rolledback.json")
	r := d.post("/api/v1/hooks/tekton", body, cdeventsHeaders())
	require.Equal(t, 202, r.status, r.body)
	stored := d.memory.deployments[0]
	require.True(t, stored.Rollback)
	require.Equal(t, "its source says so", stored.RollbackWhy)
}

func TestCDEventsFields(t *testing.T) {
	plain, _, err := decodeCDEvent(t)
	require.NoError(t, err)
	long := strings.Repeat("x", 300)
	tests := map[string]struct {
		changes []string
		want    func(*verifier.Deployment)
	}{
		"spec 0.4":              {[]string{"context.specversion", "-", "context.version", `"0.4.1"`, "context.chainId", "-"}, func(d *verifier.Deployment) { delete(d.Labels, "chain") }},
		"no purl":               {[]string{"subject.content.artifactId", `"app-1.14.0.whl"`}, artifact("app-1.14.0.whl", "app-1.14.0.whl")},
		"purl with a tag":       {[]string{"subject.content.artifactId", `"pkg:oci/app?tag=v2&repository_url=ghcr.io"`}, artifact("pkg:oci/app?tag=v2&repository_url=ghcr.io", "v2")},
		"digest before the tag": {[]string{"subject.content.artifactId", `"pkg:oci/app@1?tag=v2#sub"`}, artifact("pkg:oci/app@1?tag=v2#sub", "1")},
		"scoped package":        {[]string{"subject.content.artifactId", `"pkg:npm/%40shop/cart@12.3.1"`}, artifact("pkg:npm/%40shop/cart@12.3.1", "12.3.1")},
		"revert id":             {[]string{"customData", `{"postflight_revert_id":"rv_1","reversible":false}`}, func(d *verifier.Deployment) { d.RevertID, d.Irreversible = "rv_1", true }},
		"custom data as text":   {[]string{"customData", `"eyJzZXJ2aWNlIjoxfQ=="`}, func(*verifier.Deployment) {}},
		"service told":          {[]string{"customData", `{"service":"cart"}`}, func(d *verifier.Deployment) { d.Service = "cart" }},
		"address of the run":    {[]string{"subject.source", `"https://ci/1"`}, func(d *verifier.Deployment) { d.URL = "https://ci/1" }},
		"no time":               {[]string{"context.timestamp", "-"}, func(d *verifier.Deployment) { d.FinishedAt = time.Time{} }},
		"no source":             {[]string{"context.source", "-"}, func(d *verifier.Deployment) { d.DeploymentID = "271069a8-fc18-44f1-b38f-9d70a1695819" }},
		"a long id":             {[]string{"context.id", `"` + long + `"`}, func(d *verifier.Deployment) { d.DeploymentID = idOf("/event/source/123", long) }},
		"null where optional":   {[]string{"subject.source", "null", "customData", "null", "context.links", "null"}, func(*verifier.Deployment) {}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			want := plain.Deployment
			want.Labels = map[string]string{"artifact": recordedArtifact, "chain": "4c8cb7dd-3448-41de-8768-eec704e2829b"}
			tt.want(&want)
			n, ignored, err := decodeCDEvent(t, tt.changes...)
			require.NoError(t, err)
			require.Empty(t, ignored)
			require.Equal(t, want, n.Deployment)
			require.Equal(t, want.DeploymentID, n.DeliveryID)
		})
	}
	require.Len(t, idOf("/event/source/123", long), 64)
}

func artifact(purl, version string) func(*verifier.Deployment) {
	return func(d *verifier.Deployment) { d.Labels["artifact"], d.Version = purl, version }
}

func TestCDEventsWrongFields(t *testing.T) {
	tests := map[string]struct {
		changes []string
		field   string
	}{
		"no type":                {[]string{"context.type", "-"}, "context.type"},
		"no context":             {[]string{"context", "-"}, "context.type"},
		"type of another type":   {[]string{"context.type", "7"}, "context.type"},
		"no id":                  {[]string{"context.id", "-"}, "context.id"},
		"no environment":         {[]string{"subject.content.environment", "-"}, "subject.content.environment.id"},
		"environment as text":    {[]string{"subject.content.environment", `"prod"`}, "subject.content.environment"},
		"no artifact":            {[]string{"subject.content.artifactId", "-"}, "subject.content.artifactId"},
		"purl without a version": {[]string{"subject.content.artifactId", `"pkg:oci/app"`}, "subject.content.artifactId"},
		"no subject":             {[]string{"subject", "-"}, "subject.id,subject.content.environment.id,subject.content.artifactId"},
		"time of another form":   {[]string{"context.timestamp", `"20.3.2023"`}, "context.timestamp"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := decodeCDEvent(t, tt.changes...)
			require.Equal(t, tt.field, wrongFields(t, err))
		})
	}
}

func TestStructuredCloudEvents(t *testing.T) {
	event := cdEventWith(t)
	inBase64 := `{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"` + base64.StdEncoding.EncodeToString([]byte(event)) + `"}`
	for _, body := range []string{structured(t, event), inBase64} {
		n, ignored, err := cdevents{}.decode(http.Header{}, []byte(body), Mapping{})
		require.NoError(t, err)
		require.Empty(t, ignored)
		require.Equal(t, "mySubject123", n.Deployment.Service)
	}
	for _, body := range []string{`{"data_base64":"!"}`, `{"data":7}`, `{"data":{},"id":7}`, `{"data_base64":"eA=="}`} {
		_, _, err := cdevents{}.decode(http.Header{}, []byte(body), Mapping{})
		checkDecoded(t, verifier.Notification{}, "", err)
		require.Error(t, err)
	}
	mapped, err := NewMapping("$.subject.id", "", "$.context.id")
	require.NoError(t, err)
	n, _, err := cdevents{}.decode(http.Header{}, []byte(structured(t, event)), mapped)
	require.NoError(t, err, "paths lead into the CDEvent, whatever is around it")
	require.Equal(t, "271069a8-fc18-44f1-b38f-9d70a1695819", n.Deployment.Version)
}

func FuzzCDEvents(f *testing.F) {
	f.Add([]byte(`{"context":{"id":"1","source":"/s","type":"dev.cdevents.service.deployed.0.3.0","timestamp":"2023-03-20T14:27:05Z"},"subject":{"id":"a","content":{"environment":{"id":"b"},"artifactId":"pkg:oci/a@1"}},"customData":{"rollback":true}}`))
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"context":{"type":"dev.cdevents.service.removed.0.3.0"}}}`))
	f.Add([]byte(`{"data_base64":"e30="}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		n, ignored, err := cdevents{}.decode(http.Header{}, body, Mapping{})
		checkDecoded(t, n, ignored, err)
	})
}
