// Package gitlab tells GitLab how a deploy fared, as the status of its commit:
// a job named postflight/production in the commit's pipeline.
package gitlab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"text/template"
	"time"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/internal/call"
	"github.com/postflight/postflight/alerting/internal/standing"
	"github.com/postflight/postflight/verifier"
)

// maxText is how many characters GitLab takes of a status's name and of its
// description.
const maxText = 255

// Settings say where statuses go. Project, Commit and StatusName are templates
// over a verifier.Telling; nil is what the deploy's source told.
type Settings struct {
	URL        string // of the server, such as https://gitlab.com
	Token      string
	Project    *template.Template // its path or number; nil is the deploy's label "project"
	Commit     *template.Template // its hash; nil is the label "commit", or a version that is one
	StatusName *template.Template // nil is postflight/ENVIRONMENT
	// Trusts says whether a source may name the project that gets a status:
	// anybody who may announce a deploy writes its labels, and the token may
	// reach what is not theirs. nil trusts all.
	Trusts func(source string) bool
}

// Receiver writes commit statuses to GitLab.
type Receiver struct {
	who  string
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
	who := fmt.Sprintf("gitlab %q", name)
	base, err := call.Base(who, s.URL)
	if err != nil {
		return nil, err
	}
	return &Receiver{who: who, base: base.String() + "/api/v4", s: s, call: call.New(who, transport, append(call.Credentials(base), s.Token)...)}, nil
}

// WithTimeout bounds each attempt at d, and returns r.
func (r *Receiver) WithTimeout(d time.Duration) *Receiver {
	r.call.WithTimeout(d)
	return r
}

// ShowsState reports true: each status takes the place of the one before.
func (r *Receiver) ShowsState(verifier.Delivery) bool { return true }

// status is the body of POST /projects/:id/statuses/:sha.
type status struct {
	State       string `json:"state"`
	Name        string `json:"name"`
	Ref         string `json:"ref,omitempty"` // which of the commit's pipelines it goes into
	TargetURL   string `json:"target_url,omitempty"`
	Description string `json:"description"`
}

// states: canceled is what GitLab calls a job that came to no end.
var states = map[standing.State]string{
	standing.Watching: "running", standing.Kept: "success", standing.Bad: "failed", standing.RolledBack: "failed",
	standing.Unclear: "failed", standing.Ended: "canceled",
}

// commitHash is a whole hash; the API finds a commit by its beginning as well,
// but a status is written to the whole one only.
var commitHash = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// Send writes the status that the message leads to.
func (r *Receiver) Send(ctx context.Context, delivery verifier.Delivery) alerting.Result {
	e, err := alerting.Read(delivery)
	if err != nil {
		return r.call.Refuse("%w", err)
	}
	project, hash, unknown, err := r.aim(e)
	switch {
	case err != nil:
		return r.call.Refuse("%w", err)
	case unknown != "":
		return alerting.Result{Outcome: alerting.Skipped, Err: errors.New(unknown)}
	}
	d := e.Data.Deployment
	usual := "postflight/" + d.Environment
	if d.Service != project { // several services may come out of one commit
		usual += "/" + d.Service
	}
	name, err := standing.Name(r.s.StatusName, e, usual)
	if err != nil {
		return r.call.Refuse("name: %w", err)
	}
	s := standing.Of(e.Data)
	body, err := json.Marshal(status{
		State: states[s.State], Name: alerting.Cut(name, maxText), Ref: d.Labels["ref"], TargetURL: e.Data.URL,
		Description: alerting.Cut(s.Line, maxText),
	})
	if err != nil {
		return r.call.Refuse("write the status: %w", err)
	}
	return r.post(ctx, "/projects/"+url.PathEscape(project)+"/statuses/"+hash, body)
}

// Skips says what of the deploy isn't known that a status needs.
func (r *Receiver) Skips(delivery verifier.Delivery) string {
	e, err := alerting.Read(delivery)
	if err != nil {
		return ""
	}
	_, _, unknown, err := r.aim(e)
	if err != nil {
		return ""
	}
	return unknown
}

// aim finds where the status goes; unknown says what its source would have to
// tell. What was told and can't be is an error.
func (r *Receiver) aim(e verifier.Event) (project, hash, unknown string, err error) {
	d := e.Data.Deployment
	if r.s.Project == nil && r.s.Trusts != nil && !r.s.Trusts(d.Source) {
		return "", "", fmt.Sprintf("no project: the deploy of %s was announced by %q, which is no source of format gitlab, and may not say which project gets a status: name the project in the receiver", d.Service, d.Source), nil
	}
	project, err = standing.Name(r.s.Project, e, d.Labels["project"])
	switch {
	case err != nil:
		return "", "", "", fmt.Errorf("project: %w", err)
	case project == "":
		return "", "", fmt.Sprintf("no project: the source of %s has to tell it as label \"project\", or the receiver name it", d.Service), nil
	}
	told := d.Labels["commit"]
	if told == "" && commitHash.MatchString(d.Version) {
		told = d.Version
	}
	hash, err = standing.Name(r.s.Commit, e, told)
	switch {
	case err != nil:
		return "", "", "", fmt.Errorf("commit: %w", err)
	case hash == "":
		return "", "", fmt.Sprintf("no commit: the source of %s %s has to tell the whole hash as label \"commit\", or the receiver name it", d.Service, d.Version), nil
	case !commitHash.MatchString(hash):
		return "", "", "", fmt.Errorf("the commit of %s %s must be a whole hash (got %q): its source tells it as label \"commit\", unless the receiver names it", d.Service, d.Version, hash)
	}
	return project, hash, "", nil
}

func (r *Receiver) post(ctx context.Context, path string, body []byte) alerting.Result {
	result, answer := r.call.Post(ctx, r.base+path, map[string]string{"Private-Token": r.s.Token}, body)
	if result.Status == http.StatusBadRequest && bytes.Contains(answer.Body, []byte("Cannot transition status via :run from :running")) {
		// It is running already: that deploy was cleared, or told before an
		// answer was lost. GitLab keeps the first description.
		return alerting.Result{Outcome: alerting.Delivered, Status: result.Status}
	}
	return result
}
