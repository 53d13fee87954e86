package review

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	gh "github.com/google/go-github/v84/github"

	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/intake"
)

// Settings say as whom a source's rules are answered, and how.
type Settings struct {
	Source string // name of the configured source
	AppID  string // the GitHub App's id, or its client id
	Key    *rsa.PrivateKey
	URL    string // of the API
	AtOnce bool   // a no-go is rejected at once
	// Within is how long a release may wait until it is rejected; GitHub gives up
	// after 30 days.
	Within time.Duration
}

const (
	tellTimeout = 30 * time.Second // two calls
	// GitHub takes no JWT that lasts for more than ten minutes, and one that was
	// made in its future only if its clock agrees.
	jwtLasts, jwtBefore = 9 * time.Minute, time.Minute
	// tokenSpare is how long before its end a token is no longer used.
	tokenSpare = 2 * time.Minute
	// maxComment is what GitHub takes of a comment, in characters.
	maxComment = 1024
)

// GitHub answers deployment protection rules as a GitHub App.
type GitHub struct {
	Settings
	client *gh.Client
	now    func() time.Time

	mu     sync.Mutex
	tokens map[string]token // by installation and repository
}

type token struct {
	text string
	ends time.Time
}

// New returns what answers the rules of a source. An address that is none is an
// error of kind Invalid.
func New(s Settings, transport http.RoundTripper, now func() time.Time) (*GitHub, error) {
	base, err := url.Parse(strings.TrimSuffix(s.URL, "/") + "/")
	if err != nil || base.Host == "" {
		return nil, verifier.Errorf(verifier.Invalid, "gate of source %q: %q is not the address of an API", s.Source, s.URL)
	}
	client := gh.NewClient(&http.Client{
		Transport:     transport,                                                                     // no timeout of its own, of which go-github leaks a goroutine with each error: Tell has one
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a token goes nowhere else
	})
	client.BaseURL, client.UserAgent = base, "postflight"
	return &GitHub{Settings: s, client: client, now: now, tokens: map[string]token{}}, nil
}

// run is the workflow run that waits for an answer.
type run struct {
	owner, repository string
	id                int64
}

// said is what GitHub is told. Without a state it is a comment only.
type said struct {
	Environment string `json:"environment_name"`
	State       string `json:"state,omitempty"`
	Comment     string `json:"comment"`
}

// goneError is an answer that nobody waits for any more.
type goneError struct{ error }

// Tell tells GitHub about a request: state is approved or rejected, or "" for a
// comment while it waits. A goneError is final; any other may pass.
func (g *GitHub) Tell(ctx context.Context, r verifier.GateRequest, state, comment string) error {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	var to run
	var err error
	// It was looked at when it came; the configuration may be another by now.
	if to.owner, to.repository, to.id, err = intake.GitHubRun(g.URL, r.Callback); err != nil {
		return goneError{err}
	}
	token, err := g.token(ctx, r.Installation, to)
	if err != nil {
		return err
	}
	path := fmt.Sprintf("repos/%s/%s/actions/runs/%d/deployment_protection_rule", to.owner, to.repository, to.id)
	req, err := g.client.NewRequest(http.MethodPost, path, said{Environment: r.Waits, State: state, Comment: cut(comment, maxComment)})
	if err != nil {
		return fmt.Errorf("make the answer: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := g.client.Do(ctx, req, nil)
	switch {
	case err == nil && resp.StatusCode == http.StatusNoContent:
		return nil
	case err == nil:
		return fmt.Errorf("answer the deployment protection rule: GitHub answered %d, and 204 was to be expected", resp.StatusCode)
	case resp != nil && resp.StatusCode == http.StatusUnauthorized:
		g.forget(r.Installation, to)
	case resp != nil && (resp.StatusCode == http.StatusUnprocessableEntity || resp.StatusCode == http.StatusGone):
		return goneError{fmt.Errorf("answer the deployment protection rule: %w", plain(err))}
	}
	return fmt.Errorf("answer the deployment protection rule: %w", plain(err))
}

// token returns an installation's token for one repository, which may write
// deployments and nothing else.
func (g *GitHub) token(ctx context.Context, installation int64, to run) (string, error) {
	key := tokenKey(installation, to)
	g.mu.Lock()
	known := g.tokens[key]
	g.mu.Unlock()
	if g.now().Add(tokenSpare).Before(known.ends) {
		return known.text, nil
	}
	app, err := g.jwt()
	if err != nil {
		return "", fmt.Errorf("sign in as GitHub App %s: %w", g.AppID, err)
	}
	write := "write"
	path := fmt.Sprintf("app/installations/%d/access_tokens", installation)
	req, err := g.client.NewRequest(http.MethodPost, path, &gh.InstallationTokenOptions{
		Repositories: []string{to.repository}, Permissions: &gh.InstallationPermissions{Deployments: &write}})
	if err != nil {
		return "", fmt.Errorf("ask for a token: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+app)
	var got gh.InstallationToken
	if _, err := g.client.Do(ctx, req, &got); err != nil {
		return "", fmt.Errorf("ask for a token of installation %d of GitHub App %s: %w", installation, g.AppID, plain(err))
	}
	if got.GetToken() == "" {
		return "", fmt.Errorf("ask for a token of installation %d of GitHub App %s: the answer has none", installation, g.AppID)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, t := range g.tokens {
		if !g.now().Before(t.ends) {
			delete(g.tokens, key)
		}
	}
	g.tokens[key] = token{got.GetToken(), got.GetExpiresAt().Time}
	return got.GetToken(), nil
}

func (g *GitHub) forget(installation int64, to run) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.tokens, tokenKey(installation, to))
}

func tokenKey(installation int64, to run) string {
	return fmt.Sprintf("%d %s/%s", installation, to.owner, to.repository)
}

// jwt is how the App says who it is.
func (g *GitHub) jwt() (string, error) {
	now := g.now()
	return jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.RegisteredClaims{
		Issuer: g.AppID, IssuedAt: jwt.NewNumericDate(now.Add(-jwtBefore)), ExpiresAt: jwt.NewNumericDate(now.Add(jwtLasts)),
	}).SignedString(g.Key)
}

// plain is an error without what go-github adds of the request: nobody reads it
// twice.
func plain(err error) error {
	var answered *gh.ErrorResponse
	if errors.As(err, &answered) && answered.Response != nil {
		return fmt.Errorf("GitHub answered %d: %s", answered.Response.StatusCode, cut(answered.Message, 300))
	}
	return err
}

// cut shortens text to so many characters.
func cut(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}
