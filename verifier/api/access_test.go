package api

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

func entries() []Access {
	return []Access{
		{Name: "dashboard", Token: "t-read", May: []string{"read"}},
		{Name: "oncall", Token: "t-decide", May: []string{"decide"}},
		{Name: "admin", Token: "t-operate", May: []string{"operate"}},
		{Name: "nothing", Token: "t-nothing"},
		{Name: "empty", May: []string{"read", "decide", "operate"}},
	}
}

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

func TestReadingNeedsAccessWhereConfigured(t *testing.T) {
	d := start(t)
	d.shelf.put(observing("vf_1"))
	paths := []string{"/api/v1/verifications", "/api/v1/verifications/vf_1", "/api/v1/verifications/vf_1/evidence", "/api/v1/services", "/page"}
	for _, path := range paths {
		require.Equal(t, 200, d.get(path).status, "open while no access is configured")
	}
	d.settings.Access = entries()
	tests := map[string]struct {
		authorization string
		status        int
	}{
		"nothing":               {"", 401},
		"wrong token":           {"Bearer wrong", 401},
		"empty token":           {"Bearer ", 401},
		"empty password":        {basic("empty", ""), 401},
		"token without scheme":  {"t-read", 401},
		"another's name":        {basic("oncall", "t-read"), 401},
		"wrong password":        {basic("dashboard", "wrong"), 401},
		"no permission":         {"Bearer t-nothing", 403},
		"read":                  {"Bearer t-read", 200},
		"bearer in lower case":  {"bearer t-read", 200},
		"name and password":     {basic("dashboard", "t-read"), 200},
		"decide includes read":  {"Bearer t-decide", 200},
		"operate includes read": {basic("admin", "t-operate"), 200},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, path := range paths {
				r := d.get(path, "Authorization", tt.authorization)
				require.Equal(t, tt.status, r.status, path)
				if tt.status == 200 {
					continue
				}
				requireProblem(t, r, tt.status)
				if tt.status == 401 {
					require.Len(t, r.header.Values("Www-Authenticate"), 2)
				}
			}
		})
	}
	require.Equal(t, "page for oncall", d.get("/page", "Authorization", "Bearer t-decide").body)
	require.Equal(t, 200, d.get("/openapi.json").status, "the document is no secret")
}

func TestReleaseBrake(t *testing.T) {
	d := start(t)
	const path, reason = "/api/v1/brake/release", `{"reason":" looked into it "}`
	r := d.send(http.MethodPost, path, reason)
	require.Equal(t, 200, r.status, r.body)
	require.JSONEq(t, `{"by":"local","reason":"looked into it","released_at":"2026-11-23T02:42:00Z","engaged":true}`, r.body)
	d.shelf.braking = held()

	d.settings.Access = entries()
	requireProblem(t, d.send(http.MethodPost, path, reason), 401)
	r = d.send(http.MethodPost, path, reason, "Authorization", "Bearer t-decide")
	requireProblem(t, r, 403)
	require.Contains(t, r.Detail, `"oncall" may not operate`)
	r = d.send(http.MethodPost, path, reason, "Authorization", basic("admin", "t-operate"))
	require.Equal(t, 200, r.status, r.body)
	require.Equal(t, []string{"local: looked into it at 2026-11-23T02:42:00Z", "admin: looked into it at 2026-11-23T02:42:00Z"}, d.shelf.releases)

	d.shelf.err = verifier.Errorf(verifier.Unavailable, "the store is away")
	requireProblem(t, d.send(http.MethodPost, path, reason, "Authorization", "Bearer t-operate"), 503)
}

// TestReleaseOfNoBrake: a release begins the count of reverts anew, so one that
// nobody needs changes nothing.
func TestReleaseOfNoBrake(t *testing.T) {
	d := start(t)
	d.shelf.braking = verifier.Brake{}
	r := d.send(http.MethodPost, "/api/v1/brake/release", `{"reason":"r"}`)
	requireProblem(t, r, 409)
	require.Equal(t, "the brake is not engaged, and nothing was changed: releasing it all the same takes `force`", r.Detail)
	reverts := []verifier.PastRevert{{At: now.Add(-16 * time.Minute)}, {At: now.Add(-time.Minute)}}
	d.shelf.braking = verifier.Brake{Reverts: reverts}
	r = d.send(http.MethodPost, "/api/v1/brake/release", `{"reason":"r"}`)
	requireProblem(t, r, 409)
	require.Contains(t, r.Detail, "and would forget the recent automatic rollbacks that count for it (1)")
	require.Empty(t, d.shelf.releases)
	r = d.send(http.MethodPost, "/api/v1/brake/release", `{"reason":"r","force":true}`)
	require.Equal(t, 200, r.status, r.body)
	require.Contains(t, r.body, `"engaged":false`)
	require.Len(t, d.shelf.releases, 1)

	d.shelf.braking = verifier.Brake{Reverts: []verifier.PastRevert{{At: now}, {At: now}, {At: now}}}
	require.Equal(t, 200, d.send(http.MethodPost, "/api/v1/brake/release", `{"reason":"r"}`).status, "engaged by the reverts")
}

func TestEngageBrake(t *testing.T) {
	d := start(t)
	d.shelf.braking = verifier.Brake{}
	const path, reason = "/api/v1/brake/engage", `{"reason":" the gateway "}`
	require.JSONEq(t, `{"engaged":false,"counted":0}`, d.get("/api/v1/brake").body)
	r := d.send(http.MethodPost, path, reason)
	require.Equal(t, 200, r.status, r.body)
	require.JSONEq(t, `{"by":"local","at":"2026-11-23T02:42:00Z","reason":"the gateway"}`, r.body)
	require.JSONEq(t, `{"engaged":true,"held":{"by":"local","at":"2026-11-23T02:42:00Z","reason":"the gateway"},"counted":0}`, d.get("/api/v1/brake").body)
	r = d.send(http.MethodPost, path, `{"reason":"another"}`)
	requireProblem(t, r, 409)
	require.Equal(t, `the brake is engaged already, by local since 2026-11-23T02:42:00Z ("the gateway"): nothing was changed`, r.Detail)
	require.Equal(t, "the gateway", d.shelf.braking.Held.Reason)
	for name, body := range map[string]string{"missing": `{}`, "blank": `{"reason":"  "}`, "unknown key": `{"reason":"x","force":true}`} {
		t.Run(name, func(t *testing.T) { requireProblem(t, d.send(http.MethodPost, path, body), 422) })
	}

	// Engaged by too many reverts at once, a person's word comes on top.
	d.shelf.braking = verifier.Brake{Reverts: []verifier.PastRevert{{At: now}, {At: now}, {At: now}}}
	require.JSONEq(t, `{"engaged":true,"counted":3}`, d.get("/api/v1/brake").body)
	d.settings.Access = entries()
	requireProblem(t, d.send(http.MethodPost, path, reason), 401)
	requireProblem(t, d.send(http.MethodPost, path, reason, "Authorization", "Bearer t-read"), 403)
	r = d.send(http.MethodPost, path, reason, "Authorization", "Bearer t-decide")
	require.Equal(t, 200, r.status, r.body)
	require.Equal(t, "oncall", d.shelf.braking.Held.By, "who may decide may stop; going on takes operate")

	// Who may let them go on may stop them, and need not be able to decide.
	d.shelf.braking = verifier.Brake{}
	r = d.send(http.MethodPost, path, reason, "Authorization", basic("admin", "t-operate"))
	require.Equal(t, 200, r.status, r.body)
	require.Equal(t, "admin", d.shelf.braking.Held.By)
	require.Contains(t, d.send(http.MethodPost, path, reason, "Authorization", "Bearer t-read").body, "may not decide or operate")
}

func TestReleaseBrakeNeedsAReason(t *testing.T) {
	d := start(t)
	for name, body := range map[string]string{"missing": `{}`, "empty": `{"reason":""}`, "blank": `{"reason":"  "}`, "type": `{"reason":7}`, "unknown key": `{"reason":"x","why":"y"}`} {
		t.Run(name, func(t *testing.T) {
			r := d.send(http.MethodPost, "/api/v1/brake/release", body)
			requireProblem(t, r, 422)
			require.Len(t, r.Errors, 1)
		})
	}
	requireProblem(t, d.send(http.MethodPost, "/api/v1/brake/release", `{"reason":`), 400)
	require.Empty(t, d.shelf.releases)
}

func TestWithoutAccessOnlyThisMachineOperates(t *testing.T) {
	tests := map[string]struct {
		remote, host string
		header       [2]string
		ok           bool
	}{
		"loopback":                {remote: "127.0.0.1:5", host: "127.0.0.1:9095", ok: true},
		"loopback 6":              {remote: "[::1]:5", host: "[::1]:9095", ok: true},
		"mapped":                  {remote: "[::ffff:127.0.0.1]:5", host: "localhost", ok: true},
		"another machine":         {remote: "10.0.0.7:5", host: "127.0.0.1:9095"},
		"through a proxy":         {remote: "127.0.0.1:5", host: "localhost", header: [2]string{"X-Forwarded-For", "10.0.0.7"}},
		"through another":         {remote: "127.0.0.1:5", host: "localhost", header: [2]string{"Forwarded", "for=10.0.0.7"}},
		"a name pointing here":    {remote: "127.0.0.1:5", host: "evil.example:9095"},
		"a page from elsewhere":   {remote: "127.0.0.1:5", host: "localhost:9095", header: [2]string{"Origin", "https://evil.example"}},
		"a page says so":          {remote: "127.0.0.1:5", host: "localhost:9095", header: [2]string{"Sec-Fetch-Site", "cross-site"}},
		"a page of postflight's":  {remote: "127.0.0.1:5", host: "localhost:9095", header: [2]string{"Sec-Fetch-Site", "same-origin"}, ok: true},
		"a remote that is no one": {remote: "@", host: "localhost"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/api/v1/brake/release", nil)
			r.RemoteAddr, r.Host = tt.remote, tt.host
			if tt.header[0] != "" {
				r.Header.Set(tt.header[0], tt.header[1])
			}
			who, refused := authorise(r, nil, Operate)
			require.Equal(t, tt.ok, refused == nil)
			if tt.ok {
				require.Equal(t, "local", who.Name)
				return
			}
			require.Equal(t, 403, refused.status)
		})
	}
}

func TestBrowsersAreNotMadeToDecideByOtherPages(t *testing.T) {
	d := start(t)
	d.settings.Access = entries()
	r := d.send(http.MethodPost, "/api/v1/brake/release", `{"reason":"x"}`, "Authorization", basic("admin", "t-operate"), "Sec-Fetch-Site", "cross-site")
	requireProblem(t, r, 403)
	require.Empty(t, d.shelf.releases)
}

func TestAccessSaysWhoAsks(t *testing.T) {
	d := start(t)
	require.JSONEq(t, `{"name":"local","may":["read","decide","operate"]}`, d.get("/api/v1/access").body)
	require.JSONEq(t, `{"name":"local","may":["read"]}`, d.get("/api/v1/access", "X-Forwarded-For", "203.0.113.9").body)
	d.settings.Access = entries()
	requireProblem(t, d.get("/api/v1/access"), 401)
	require.JSONEq(t, `{"name":"oncall","may":["read","decide"]}`, d.get("/api/v1/access", "Authorization", decider).body)
}
