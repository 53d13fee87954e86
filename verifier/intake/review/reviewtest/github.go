// Package reviewtest is GitHub as a GitHub App meets it that answers deployment
// protection rules, for tests: it checks what GitHub's documentation says that
// GitHub checks (apps/creating-github-apps/authenticating-with-a-github-app,
// rest/apps/apps#create-an-installation-access-token-for-an-app,
// rest/actions/workflow-runs#review-custom-deployment-protection-rules-for-a-workflow-run).
package reviewtest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// Said is what GitHub took about a run.
type Said struct {
	Environment, State, Comment string
	At                          time.Time
}

// GitHub knows one App, installed in one repository, and one run that waits for
// its rule.
type GitHub struct {
	App          string // its id
	Installation int64
	Owner, Name  string
	Run          int64
	Environment  string
	Now          func() time.Time

	key *rsa.PrivateKey
	mu  sync.Mutex
	// tokens are those that were given out, with when they end.
	tokens  map[string]time.Time
	said    []Said
	refused []string
	down    int  // so many calls are answered 502
	lost    bool // the next review is taken, and its answer gets lost
}

// New returns a GitHub with an App whose key is made anew.
func New(now func() time.Time) (*GitHub, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	return &GitHub{App: "123456", Installation: 77, Owner: "acme", Name: "shop", Run: 9001, Environment: "Production", Now: now, key: key, tokens: map[string]time.Time{}}, nil
}

// Key is the App's private key.
func (g *GitHub) Key() *rsa.PrivateKey { return g.key }

// KeyPEM is the App's private key as GitHub gives it out.
func (g *GitHub) KeyPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(g.key)})
}

// Callback is the address for the answer, at an API.
func (g *GitHub) Callback(api string) string {
	return strings.TrimSuffix(api, "/") + fmt.Sprintf("/repos/%s/%s/actions/runs/%d/deployment_protection_rule", g.Owner, g.Name, g.Run)
}

// Fail lets the next n calls be answered 502.
func (g *GitHub) Fail(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = n
}

// Lose lets the next review be taken, with its answer lost on the way.
func (g *GitHub) Lose() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lost = true
}

// Said returns what was taken, in order.
func (g *GitHub) Said() []Said {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.said)
}

// Reviews returns the answers that were taken: one at most.
func (g *GitHub) Reviews() (out []Said) {
	return slices.DeleteFunc(g.Said(), func(s Said) bool { return s.State == "" })
}

// Refused returns why calls were refused.
func (g *GitHub) Refused() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.refused)
}

// ServeHTTP answers as GitHub does.
func (g *GitHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	refuse := func(status int, why string) {
		g.refused = append(g.refused, fmt.Sprintf("%s %s: %d %s", r.Method, r.URL.Path, status, why))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": why, "documentation_url": "https://docs.github.com/rest"}) // a test that is gone reads nothing
	}
	if g.down > 0 {
		g.down--
		refuse(http.StatusBadGateway, "Server Error")
		return
	}
	scheme, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case !strings.Contains(r.Header.Get("Accept"), "application/vnd.github"):
		refuse(http.StatusUnsupportedMediaType, "Must accept 'application/json'")
	case r.Header.Get("User-Agent") == "":
		refuse(http.StatusForbidden, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header")
	case r.Method != http.MethodPost:
		refuse(http.StatusNotFound, "Not Found")
	case r.URL.Path == fmt.Sprintf("/app/installations/%d/access_tokens", g.Installation):
		if scheme != "Bearer" {
			refuse(http.StatusUnauthorized, "A JSON web token could not be decoded")
		} else if why := g.jwtWrong(credential); why != "" {
			refuse(http.StatusUnauthorized, why)
		} else {
			g.giveToken(w, r, refuse)
		}
	case r.URL.Path == fmt.Sprintf("/repos/%s/%s/actions/runs/%d/deployment_protection_rule", g.Owner, g.Name, g.Run):
		if ends, known := g.tokens[credential]; !known || scheme != "Bearer" && scheme != "token" || !g.Now().Before(ends) {
			refuse(http.StatusUnauthorized, "Bad credentials")
		} else {
			g.review(w, r, refuse)
		}
	default:
		refuse(http.StatusNotFound, "Not Found")
	}
}

// jwtWrong says what is wrong with an App's token: GitHub wants RS256, the App as
// its issuer, made in the past and for ten minutes at most.
func (g *GitHub) jwtWrong(text string) string {
	var c jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(text, &c, func(*jwt.Token) (any, error) { return &g.key.PublicKey, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithTimeFunc(g.Now), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	switch {
	case err != nil:
		return "A JSON web token could not be decoded: " + err.Error()
	case c.Issuer != g.App:
		return "'Issuer' claim ('iss') must be the App's id"
	case c.IssuedAt == nil:
		return "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
	case c.ExpiresAt.Sub(g.Now()) > 10*time.Minute:
		return "'Expiration time' claim ('exp') is too far in the future"
	}
	return ""
}

func (g *GitHub) giveToken(w http.ResponseWriter, r *http.Request, refuse func(int, string)) {
	var asked struct {
		Repositories []string          `json:"repositories"`
		Permissions  map[string]string `json:"permissions"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		refuse(http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	if len(asked.Repositories) != 1 || asked.Repositories[0] != g.Name {
		refuse(http.StatusUnprocessableEntity, "There is at least one repository that does not exist or is not accessible to the parent installation.")
		return
	}
	if len(asked.Permissions) != 1 || asked.Permissions["deployments"] != "write" {
		refuse(http.StatusUnprocessableEntity, "The permissions requested are not granted to this installation.")
		return
	}
	text := fmt.Sprintf("ghs_of_the_tests_%d", len(g.tokens)+1)
	g.tokens[text] = g.Now().Add(time.Hour)
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"token": text, "expires_at": g.tokens[text].UTC().Format(time.RFC3339)})
}

func (g *GitHub) review(w http.ResponseWriter, r *http.Request, refuse func(int, string)) {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	text := func(name string) string { s, _ := body[name].(string); return s }
	_, hasState := body["state"]
	comments := 0
	for _, s := range g.said {
		if s.State == "" {
			comments++
		}
	}
	answered := slices.ContainsFunc(g.said, func(s Said) bool { return s.State != "" })
	switch {
	case text("environment_name") != g.Environment:
		refuse(http.StatusUnprocessableEntity, "environment_name is no environment of this run that waits")
	case answered:
		refuse(http.StatusUnprocessableEntity, "No pending deployment requests to approve or reject")
	case hasState && text("state") != "approved" && text("state") != "rejected":
		refuse(http.StatusUnprocessableEntity, "state is not one of approved, rejected")
	case text("comment") == "":
		refuse(http.StatusUnprocessableEntity, "comment is required")
	case utf8.RuneCountInString(text("comment")) > 1024:
		refuse(http.StatusUnprocessableEntity, "comment is too long (maximum is 1024 characters)")
	case !hasState && comments >= 10:
		refuse(http.StatusUnprocessableEntity, "a status can be reported 10 times")
	default:
		g.said = append(g.said, Said{text("environment_name"), text("state"), text("comment"), g.Now()})
		if g.lost {
			g.lost = false
			refuse(http.StatusBadGateway, "Server Error")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}
