package intake

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// with returns the smallest notification with one more key, or with a required
// key replaced; "-" leaves it out.
func with(key, value string) string {
	fields := map[string]string{"service": `"checkout"`, "environment": `"production"`, "version": `"1.42.0"`}
	fields[key] = value
	var pairs []string
	for k, v := range fields {
		if v != "-" {
			pairs = append(pairs, fmt.Sprintf("%q:%s", k, v))
		}
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

func TestNativeFields(t *testing.T) {
	const when = "as RFC 3339 writes it, such as 2026-11-23T02:41:07Z"
	long := strings.Repeat("x", 254)
	tests := map[string]struct {
		body                  string
		field, message, value string
	}{
		"service missing":       {with("service", "-"), "service", "is required", ""},
		"service null":          {with("service", "null"), "service", "is required", ""},
		"service empty":         {with("service", `""`), "service", "is required and must not be empty", ""},
		"service blank":         {with("service", `"  "`), "service", "is required and must not be empty", "  "},
		"service number":        {with("service", "7"), "service", "must be text, in quotes", "7"},
		"version number":        {with("version", "1.42"), "version", "must be text, in quotes", "1.42"},
		"environment object":    {with("environment", `{"name":"production"}`), "environment", "must be text, in quotes", `{"name":"production"}`},
		"environment misspelt":  {strings.Replace(with("environment", `"x"`), "environment", "enviroment", 1), "environment", `is required: did you mean it by "enviroment"?`, ""},
		"service in capitals":   {strings.Replace(with("service", `"x"`), "service", "Service", 1), "service", `is required: did you mean it by "Service"?`, ""},
		"too long":              {with("version", `"`+long+`"`), "version", "is longer than 253 characters", long[:100] + "..."},
		"control character":     {with("service", `"a\u0007b"`), "service", "has characters that can't be printed", "a\ab"},
		"direction character":   {with("service", `"a\u202eb"`), "service", "has characters that can't be printed", "a\u202eb"},
		"half a surrogate":      {with("service", `"a\ud800b"`), "service", "has characters that can't be printed", "a\ufffdb"},
		"space at the end":      {with("service", `"checkout "`), "service", "begins or ends with a space", "checkout "},
		"status":                {with("status", `"success"`), "status", "must be one of finished, started, failed", "success"},
		"status type":           {with("status", "true"), "status", "must be text, in quotes", "true"},
		"finished_at date":      {with("finished_at", `"2026-11-23"`), "finished_at", "must be a time " + when, "2026-11-23"},
		"finished_at number":    {with("finished_at", "1795401667"), "finished_at", "must be a time in quotes, " + when, "1795401667"},
		"started_at":            {with("started_at", `"soon"`), "started_at", "must be a time " + when, "soon"},
		"reversible text":       {with("reversible", `"false"`), "reversible", "must be true or false, without quotes", `"false"`},
		"reversible misspelt":   {with("reversable", "false"), "reversable", `is not known: did you mean "reversible"?`, "false"},
		"revert id misspelt":    {with("revertId", `"rv_1"`), "revertId", `is not known: did you mean "revert_id"?`, `"rv_1"`},
		"rollback number":       {with("rollback", "1"), "rollback", "must be true or false, without quotes", "1"},
		"url scheme":            {with("url", `"javascript:alert(1)"`), "url", "must be an address that begins with http:// or https://", "javascript:alert(1)"},
		"url relative":          {with("url", `"/builds/7"`), "url", "must be an address that begins with http:// or https://", "/builds/7"},
		"url with a line break": {with("url", `"https://a/\nb"`), "url", "must be an address that begins with http:// or https://", "https://a/\nb"},
		"url too long":          {with("url", `"https://a/`+strings.Repeat("x", 2048)+`"`), "url", "is longer than 2048 characters", "https://a/" + strings.Repeat("x", 90) + "..."},
		"paths":                 {with("changed_paths", `"a"`), "changed_paths", "must be a list of texts", `"a"`},
		"a path":                {with("changed_paths", `["a",""]`), "changed_paths[1]", "must not be empty", ""},
		"many paths":            {with("changed_paths", `["a"`+strings.Repeat(`,"a"`, 10000)+"]"), "changed_paths", "has more than 10000 entries", "10001"},
		"labels":                {with("labels", `["a"]`), "labels", "must be an object of texts", `["a"]`},
		"a label's type":        {with("labels", `{"a":1}`), "labels", "must be an object of texts", `{"a":1}`},
		"a label's key":         {with("labels", `{"a\n":"b"}`), "labels", "has a key that has characters that can't be printed", "a\n"},
		"a label's value":       {with("labels", `{"a":"\n"}`), "labels.a", "has characters that can't be printed", "\n"},
		"many labels":           {with("labels", manyLabels()), "labels", "has more than 64 entries", "65"},
		"large labels":          {with("labels", largeLabels()), "labels", "takes more than 16 KiB: keep what is long where url leads", "22806 bytes"},
		"large conditions":      {with("approval", `{"conditions":["`+strings.Repeat("<", 1024)+`"`+strings.Repeat(`,"`+strings.Repeat("<", 1024)+`"`, 9)+`]}`), "approval.conditions", "takes more than 16 KiB: keep what is long where url leads", "61471 bytes"},
		"large by":              {with("approval", `{"by":["a"`+strings.Repeat(`,"`+strings.Repeat("b", 1000)+`"`, 20)+`]}`), "approval.by", "takes more than 16 KiB: keep what is long where url leads", "20065 bytes"},
		"approval":              {with("approval", `"yes"`), "approval", "must be an object", `"yes"`},
		"approval by":           {with("approval", `{"by":"me"}`), "approval.by", "must be a list of texts", `"me"`},
		"approval conditions":   {with("approval", `{"conditions":["\u0000"]}`), "approval.conditions[0]", "has characters that can't be printed", "\x00"},
		"approval url":          {with("approval", `{"url":"ftp://x/"}`), "approval.url", "must be an address that begins with http:// or https://", "ftp://x/"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := native{}.decode(headers(), []byte(tt.body), Mapping{})
			require.Equal(t, verifier.Invalid, verifier.KindOf(err))
			var e *verifier.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, []verifier.FieldError{{Field: tt.field, Message: tt.message, Value: tt.value}}, e.Fields)
		})
	}
}

func manyLabels() string {
	labels := map[string]string{}
	for i := range 65 {
		labels[fmt.Sprint("l", i)] = ""
	}
	b, err := json.Marshal(labels)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// largeLabels are few, and larger as they are stored than as they are sent.
func largeLabels() string {
	var all []string
	for i := range 15 {
		all = append(all, fmt.Sprintf(`"l%d":%q`, i, strings.Repeat("&", 252)))
	}
	return "{" + strings.Join(all, ",") + "}"
}

func TestNativeNamesEveryWrongFieldAtOnce(t *testing.T) {
	d := start(t)
	r := d.post("/api/v1/deployments", `{"enviroment":"production","version":7,"status":"done","finished_at":"now","url":"x","labels":[],"approval":{"by":1}}`, bearerHeaders())
	require.Equal(t, 422, r.status)
	require.Equal(t, []string{"approval.by", "environment", "finished_at", "labels", "service", "status", "url", "version"}, r.fields())
}

func TestNativeTakes(t *testing.T) {
	tests := map[string]struct {
		body string
		want func(*verifier.Deployment)
	}{
		"nothing more":        {with("x", "1"), func(*verifier.Deployment) {}},
		"unknown keys":        {with("pipeline", `{"deep":[1,2,{"a":null}]}`), func(*verifier.Deployment) {}},
		"nulls":               {with("actor", "null"), func(*verifier.Deployment) {}},
		"empty texts":         {with("finished_at", `""`), func(*verifier.Deployment) {}},
		"names in any script": {with("service", `"café-支付"`), func(d *verifier.Deployment) { d.Service = "café-支付" }},
		"started":             {with("status", `"started"`), func(d *verifier.Deployment) { d.Status = verifier.DeployStarted }},
		"failed":              {with("status", `"failed"`), func(d *verifier.Deployment) { d.Status = verifier.DeployFailed }},
		"irreversible":        {with("reversible", "false"), func(d *verifier.Deployment) { d.Irreversible = true }},
		"rollback":            {with("rollback", "true"), func(d *verifier.Deployment) { d.Rollback = true }},
		"revert id":           {with("revert_id", `"rv_1"`), func(d *verifier.Deployment) { d.RevertID = "rv_1" }},
		"release":             {with("release_id", `"r7"`), func(d *verifier.Deployment) { d.ReleaseID = "r7" }},
		"paths":               {with("changed_paths", `["db/1.sql"]`), func(d *verifier.Deployment) { d.ChangedPaths = []string{"db/1.sql"} }},
		"a time with an offset": {with("finished_at", `"2026-11-23T03:41:07+01:00"`), func(d *verifier.Deployment) {
			d.FinishedAt = time.Date(2026, 11, 23, 3, 41, 7, 0, time.FixedZone("", 3600))
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			want := verifier.Deployment{Service: "checkout", Environment: "production", Version: "1.42.0", Status: verifier.DeployFinished}
			tt.want(&want)
			n, ignored, err := native{}.decode(headers(), []byte(tt.body), Mapping{})
			require.NoError(t, err)
			require.Empty(t, ignored)
			require.True(t, want.FinishedAt.Equal(n.Deployment.FinishedAt))
			want.FinishedAt = n.Deployment.FinishedAt
			require.Equal(t, want, n.Deployment)
		})
	}
}

func TestNativeDeliveryID(t *testing.T) {
	tests := map[string]struct {
		header http.Header
		want   string
		wrong  string
	}{
		"none":              {headers(), "", ""},
		"webhook-id":        {headers("webhook-id", "msg_1"), "msg_1", ""},
		"key":               {headers("Idempotency-Key", "k-1"), "k-1", ""},
		"both":              {headers("Idempotency-Key", "k-1", "webhook-id", "msg_1"), "msg_1", ""},
		"as long as may be": {headers("Idempotency-Key", strings.Repeat("k", 255)), strings.Repeat("k", 255), ""},
		"too long":          {headers("Idempotency-Key", strings.Repeat("k", 256)), "", "Idempotency-Key"},
		"not printable":     {headers("webhook-id", "a\u202eb"), "", "webhook-id"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := nativeDelivery(tt.header)
			require.Equal(t, tt.want, got)
			if tt.wrong == "" {
				require.NoError(t, err)
				return
			}
			var e *verifier.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, tt.wrong, e.Fields[0].Field)
		})
	}
}

func TestDeliveriesWithoutAnIDAreNewDeploys(t *testing.T) {
	d := start(t)
	body := with("x", "1")
	first := d.post("/api/v1/deployments", body, bearerHeaders())
	second := d.post("/api/v1/deployments", body, bearerHeaders())
	require.Equal(t, []int{202, 202}, []int{first.status, second.status})
	require.NotEqual(t, first.VerificationID, second.VerificationID)
}

func TestWhatOpensNothingIsAnswered200(t *testing.T) {
	d := start(t)
	for _, status := range []string{"started", "failed"} {
		r := d.post("/api/v1/deployments", with("status", `"`+status+`"`), bearerHeaders())
		require.Equal(t, 200, r.status)
		require.Contains(t, r.Ignored, "deploy")
		require.Empty(t, r.VerificationID)
	}
	d.settings.Policies = nil
	r := d.post("/api/v1/deployments", with("x", "1"), bearerHeaders())
	require.Equal(t, 200, r.status)
	require.Equal(t, `no policy matches service "checkout" in environment "production"`, r.Ignored)
	require.Len(t, d.memory.deployments, 3, "recorded all the same")
	require.Equal(t, map[string]int{"pipeline ignored": 3}, d.counts.all())
}

func TestAnnouncementIsDocumented(t *testing.T) {
	hapi := humago.New(http.NewServeMux(), huma.DefaultConfig("test", "1"))
	Register(hapi, Options{})
	schemas := hapi.OpenAPI().Components.Schemas
	// Other packages document these: equal names would panic.
	schemas.Schema(reflect.TypeFor[verifier.Verification](), true, "")
	schemas.Schema(reflect.TypeFor[verifier.Evidence](), true, "")
	a := schemas.Map()["Announcement"]
	require.Equal(t, []string{"service", "environment", "version"}, a.Required)
	top, err := readObject([]byte(announced))
	require.NoError(t, err)
	for name := range top {
		require.Contains(t, a.Properties, name)
	}
	require.Len(t, a.Properties, len(top), "every documented field is in the contract's example")
	post := hapi.OpenAPI().Paths["/api/v1/deployments"].Post
	require.Equal(t, "#/components/schemas/Announcement", post.RequestBody.Content["application/json"].Schema.Ref)
	require.Contains(t, post.Responses, "202")
	require.Contains(t, post.Responses, "200")
}

func FuzzNative(f *testing.F) {
	for _, seed := range []string{announced, "{}", "[]", "null", `{"service":"a","environment":"b","version":"c","labels":{"a":"b"}}`, `{"a":1,"a":2}`, "\xef\xbb\xbf{}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		n, ignored, err := native{}.decode(headers("webhook-id", "1"), body, Mapping{})
		checkDecoded(t, n, ignored, err)
	})
}

// checkDecoded holds what every decoder promises.
func checkDecoded(t *testing.T, n verifier.Notification, ignored string, err error) {
	if err != nil {
		var status huma.StatusError
		require.True(t, verifier.KindOf(err) == verifier.Invalid || errors.As(err, &status), "%v", err)
		return
	}
	if ignored != "" {
		return
	}
	d := n.Deployment
	for _, name := range []string{d.Service, d.Environment, d.Version} {
		require.Empty(t, wrongText(name, maxText))
	}
	require.Contains(t, []verifier.DeploymentStatus{verifier.DeployStarted, verifier.DeployFinished, verifier.DeployFailed}, d.Status)
	require.True(t, d.URL == "" || strings.HasPrefix(strings.ToLower(d.URL), "http"))
	_, err = json.Marshal(d)
	require.NoError(t, err, "what is stored must be JSON")
}

// TestDryRun: a notification may be tried; it is checked like any other, says
// what would come of it, and leaves nothing.
func TestDryRun(t *testing.T) {
	d := start(t)
	const path = "/api/v1/deployments?dry_run=true"
	r := d.post(path, with("finished_at", `"`+now.UTC().Format(time.RFC3339)+`"`), bearerHeaders())
	require.Equal(t, 200, r.status, r.body)
	var told Receipt
	require.NoError(t, json.Unmarshal([]byte(r.body), &told))
	require.Equal(t, `not stored; checkout 1.42.0 in production, from "pipeline", would be watched by the policy "everything" (shadow) until `+now.Add(30*time.Minute).UTC().Format(time.RFC3339), told.DryRun)
	require.Empty(t, told.VerificationID)
	r = d.post(path, with("status", `"started"`), bearerHeaders())
	require.Equal(t, 200, r.status, r.body)
	require.Contains(t, r.body, "would open nothing: ")
	require.Equal(t, 422, d.post(path, with("version", "-"), bearerHeaders()).status)
	require.Equal(t, 401, d.post(path, with("x", "1"), headers("Content-Type", "application/json")).status)
	require.Equal(t, 422, d.post("/api/v1/deployments?dry_run=yes", with("x", "1"), bearerHeaders()).status, "whoever means one must not get a deploy")
	require.Empty(t, d.memory.notifications)
	d.settings.Policies = nil
	require.Contains(t, d.post(path, with("x", "1"), bearerHeaders()).body, "would open nothing: no policy matches")
	require.Equal(t, 2+1, d.counts.seen["pipeline dry_run"])
}
