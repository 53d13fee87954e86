package github

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"time"

	gh "github.com/google/go-github/v84/github"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/internal/call"
	"github.com/postflight/postflight/alerting/internal/standing"
	"github.com/postflight/postflight/verifier"
)

// What a receiver writes.
const (
	CommitStatus     = "commit"     // one for each change of the verification
	DeploymentStatus = "deployment" // success when kept, failure when rolled back
)

// Marker begins the description of every deployment status that is written
// here.
const Marker = "postflight: "

const (
	// maxDescription is how many characters GitHub takes as a description of
	// either status.
	maxDescription = 140
	maxContext     = 255
	apiVersion     = "2022-11-28"
	// limitedFor is how long GitHub asks to be left alone where it names no time.
	limitedFor = time.Minute
)

// Settings say where statuses go. Repository, Commit and Context are templates
// over a verifier.Telling; "" is what the deploy's source told.
type Settings struct {
	URL        string // of the API, such as https://api.github.com or https://HOST/api/v3
	Token      string
	Writes     string             // CommitStatus or DeploymentStatus; "" is the first
	Repository *template.Template // OWNER/NAME; nil is the deploy's label "repository"
	Commit     *template.Template // its hash; nil is the label "commit", or a version that is one
	Context    *template.Template // of commit statuses; nil is postflight/ENVIRONMENT
	// Trusts says whether a source may name the repository, or the deployment,
	// that gets a status: anybody who may announce a deploy writes its labels,
	// and the token may reach what is not theirs. nil trusts all.
	Trusts func(source string) bool
}

// Receiver writes statuses to GitHub.
type Receiver struct {
	base string
	s    Settings
	call *call.Caller
}

var (
	_ alerting.Display = (*Receiver)(nil)
	_ alerting.Skipper = (*Receiver)(nil)
	_ alerting.Prober  = (*Receiver)(nil)
)

// New makes the receiver of that name; transport is as of webhook.New. An
// address that is none is an error of kind Invalid.
func New(name string, s Settings, transport http.RoundTripper) (*Receiver, error) {
	who := fmt.Sprintf("github %q", name)
	base, err := call.Base(who, s.URL)
	if err != nil {
		return nil, err
	}
	return &Receiver{base: base.String(), s: s, call: call.New(who, transport, append(call.Credentials(base), s.Token)...)}, nil
}

// WithTimeout bounds each attempt at d, and returns r.
func (r *Receiver) WithTimeout(d time.Duration) *Receiver {
	r.call.WithTimeout(d)
	return r
}

var (
	repositoryName = regexp.MustCompile(`^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$`)
	commitHash     = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
)

// ShowsState reports whether the message leads to a status.
func (r *Receiver) ShowsState(d verifier.Delivery) bool {
	e, err := alerting.Read(d)
	return err == nil && (r.s.Writes != DeploymentStatus || deploymentState(e) != "")
}

// aim is where the status of a deploy goes.
type aim struct {
	repository string
	commit     string // of commit statuses
	deployment int64  // of deployment statuses
}

// Send writes the status that the message leads to, if any.
func (r *Receiver) Send(ctx context.Context, d verifier.Delivery) alerting.Result {
	e, err := alerting.Read(d)
	if err != nil {
		return r.call.Refuse("%w", err)
	}
	at, unknown, err := r.aim(e)
	switch {
	case err != nil:
		return r.call.Refuse("%w", err)
	case unknown != "":
		return alerting.Result{Outcome: alerting.Skipped, Err: errors.New(unknown)}
	case r.s.Writes == DeploymentStatus:
		return r.deployment(ctx, e, at)
	}
	return r.commit(ctx, e, at)
}

// Skips says what of the deploy isn't known that a status needs.
func (r *Receiver) Skips(d verifier.Delivery) string {
	e, err := alerting.Read(d)
	if err != nil {
		return ""
	}
	_, unknown, err := r.aim(e)
	if err != nil {
		return ""
	}
	return unknown
}

// aim finds where the status goes; unknown says what its source would have to
// tell. What was told and can't be is an error.
func (r *Receiver) aim(e verifier.Event) (at aim, unknown string, err error) {
	d := e.Data.Deployment
	if (r.s.Repository == nil || r.s.Writes == DeploymentStatus) && r.s.Trusts != nil && !r.s.Trusts(d.Source) {
		return at, fmt.Sprintf("no repository: the deploy of %s was announced by %q, which is no source of format github, and may not say which repository or deployment gets a status: name the repository in the receiver, and let it write statuses of commits", d.Service, d.Source), nil
	}
	if at.repository, err = standing.Name(r.s.Repository, e, d.Labels["repository"]); err != nil {
		return at, "", fmt.Errorf("repository: %w", err)
	}
	switch {
	case at.repository == "":
		return at, fmt.Sprintf("no repository: the source of %s has to tell it as label \"repository\", as OWNER/NAME, or the receiver name it", d.Service), nil
	case !repositoryName.MatchString(at.repository) || strings.Contains(at.repository, ".."):
		return at, "", fmt.Errorf("the repository of %s must be OWNER/NAME (got %q): its source tells it as label \"repository\", unless the receiver names it", d.Service, at.repository)
	case r.s.Writes == DeploymentStatus:
		return r.aimAtDeployment(at, d)
	}
	return r.aimAtCommit(at, e)
}

func (r *Receiver) aimAtDeployment(at aim, d verifier.Deployment) (aim, string, error) {
	told := d.Labels["deployment"]
	if told == "" {
		return at, fmt.Sprintf("no deployment: the source of %s %s has to be GitHub, or tell the deployment's number as label \"deployment\"", d.Service, d.Version), nil
	}
	id, err := strconv.ParseInt(told, 10, 64)
	if err != nil || id <= 0 {
		return at, "", fmt.Errorf("the deployment of %s %s at GitHub must be a number (got %q): its source tells it as label \"deployment\"", d.Service, d.Version, told)
	}
	at.deployment = id
	return at, "", nil
}

func (r *Receiver) aimAtCommit(at aim, e verifier.Event) (aim, string, error) {
	d := e.Data.Deployment
	told := d.Labels["commit"]
	if told == "" && commitHash.MatchString(d.Version) {
		told = d.Version
	}
	hash, err := standing.Name(r.s.Commit, e, told)
	switch {
	case err != nil:
		return at, "", fmt.Errorf("commit: %w", err)
	case hash == "":
		return at, fmt.Sprintf("no commit: the source of %s %s has to tell the whole hash as label \"commit\", or the receiver name it", d.Service, d.Version), nil
	case !commitHash.MatchString(hash):
		return at, "", fmt.Errorf("the commit of %s %s must be a whole hash (got %q): its source tells it as label \"commit\", unless the receiver names it", d.Service, d.Version, hash)
	}
	at.commit = hash
	return at, "", nil
}

func (r *Receiver) commit(ctx context.Context, e verifier.Event, at aim) alerting.Result {
	usual := "postflight/" + e.Data.Deployment.Environment
	if e.Data.Deployment.Service != at.repository { // several services may come out of one commit
		usual += "/" + e.Data.Deployment.Service
	}
	name, err := standing.Name(r.s.Context, e, usual)
	if err != nil {
		return r.call.Refuse("context: %w", err)
	}
	s := standing.Of(e.Data)
	return r.post(ctx, "/repos/"+at.repository+"/statuses/"+at.commit, gh.RepoStatus{
		State: ptr(commitStates[s.State]), TargetURL: optional(e.Data.URL),
		Description: ptr(alerting.Cut(s.Line, maxDescription)), Context: ptr(alerting.Cut(name, maxContext)),
	})
}

// commitStates: what got no verdict is no success, for the next environment
// may wait for one.
var commitStates = map[standing.State]string{
	standing.Watching: "pending", standing.Kept: "success", standing.Bad: "failure", standing.RolledBack: "failure",
	standing.Unclear: "error", standing.Ended: "error",
}

// deployment writes a status of the deployment once it is known what becomes of
// it: a verdict to revert is no failed deployment before the version before it
// runs again. Anything else has nothing to write, and counts as delivered.
func (r *Receiver) deployment(ctx context.Context, e verifier.Event, at aim) alerting.Result {
	state := deploymentState(e)
	if state == "" {
		return alerting.Result{Outcome: alerting.Delivered}
	}
	s := standing.Of(e.Data)
	// No environment: the one that GitHub has stays, for ours may be mapped.
	return r.post(ctx, fmt.Sprintf("/repos/%s/deployments/%d/statuses", at.repository, at.deployment), gh.DeploymentStatusRequest{
		State: ptr(state), LogURL: optional(e.Data.URL), Description: ptr(alerting.Cut(Marker+s.Line, maxDescription)),
		EnvironmentURL: optional(e.Data.Deployment.Labels["environment_url"]), AutoInactive: ptr(false),
	})
}

// deploymentState is "" where there is nothing to write.
func deploymentState(e verifier.Event) string {
	switch s := standing.Of(e.Data); {
	case e.Type == verifier.EventDecided && s.State == standing.Kept:
		return "success"
	case e.Type == verifier.EventActionChanged && s.State == standing.RolledBack:
		return "failure"
	}
	return ""
}

func (r *Receiver) post(ctx context.Context, path string, status any) alerting.Result {
	body, err := json.Marshal(status)
	if err != nil {
		return r.call.Refuse("write the status: %w", err)
	}
	result, answer := r.call.Post(ctx, r.base+path, r.header(), body)
	return limited(result, answer, time.Now())
}

func (r *Receiver) header() map[string]string {
	return map[string]string{"Accept": "application/vnd.github+json", "Authorization": "Bearer " + r.s.Token, "X-GitHub-Api-Version": apiVersion}
}

// limited takes what is a rate limit for one: GitHub answers 403 as well as 429,
// with Retry-After, with the time at which the limit is lifted, or with words
// alone.
func limited(result alerting.Result, answer call.Answer, now time.Time) alerting.Result {
	if result.Status != http.StatusForbidden && result.Status != http.StatusTooManyRequests {
		return result
	}
	reset, err := strconv.ParseInt(answer.Header.Get("X-Ratelimit-Reset"), 10, 64)
	asked := time.Duration(0)
	switch {
	case result.RetryAfter > 0:
		asked = result.RetryAfter
	case answer.Header.Get("X-Ratelimit-Remaining") == "0" && err == nil:
		asked = min(max(time.Unix(reset, 0).Sub(now), time.Second), 24*time.Hour)
	case strings.Contains(strings.ToLower(string(answer.Body)), "rate limit"):
		asked = limitedFor
	}
	if asked > 0 {
		result.Outcome, result.RetryAfter = alerting.Retry, cmp.Or(asked, limitedFor)
	}
	return result
}

func ptr[T any](v T) *T { return &v }

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
