package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Notification is the native notification of postflight's API.
type Notification struct {
	Service      string     `json:"service"`
	Environment  string     `json:"environment"`
	Version      string     `json:"version"`
	Previous     string     `json:"previous_version,omitempty"`
	DeploymentID string     `json:"deployment_id,omitempty"`
	Status       string     `json:"status,omitempty"`
	Actor        string     `json:"actor,omitempty"`
	StartedAt    *time.Time `json:"started_at,omitempty"`
	FinishedAt   *time.Time `json:"finished_at,omitempty"`
	RevertID     string     `json:"revert_id,omitempty"`
	ChangedPaths []string   `json:"changed_paths,omitempty"`
}

// Answer is what postflight said to a notification.
type Answer struct {
	Status         int           `json:"-"`
	Took           time.Duration `json:"-"`
	SentAt         time.Time     `json:"-"`
	VerificationID string        `json:"verification_id"`
	URL            string        `json:"url"`
	Mode           string        `json:"mode"`
	ClosesAt       string        `json:"closes_at"`
	Ignored        string        `json:"ignored"`
	Body           string        `json:"-"`
}

// Release deploys a version and announces it: started before, finished after.
// The answer is the one to the second notification. The pipeline tells which
// paths changed, where any are named.
func (p *Pipeline) Release(ctx context.Context, service, version string, changedPaths ...string) (Answer, error) {
	return p.release(ctx, service, Notification{Version: version, Actor: "dana", ChangedPaths: changedPaths})
}

// release deploys and announces what n says of the version; where, when and
// under which id is filled in.
func (p *Pipeline) release(ctx context.Context, service string, n Notification) (Answer, error) {
	a, err := p.app(service)
	if err != nil {
		return Answer{}, err
	}
	begun, version := time.Now(), n.Version
	n.Service, n.Environment, n.Previous = service, p.options.Environment, a.Version()
	n.DeploymentID, n.Status, n.StartedAt = p.nextID(), "started", &begun
	if _, err := p.Announce(ctx, n, n.DeploymentID+"-started"); err != nil {
		return Answer{}, fmt.Errorf("announce that the deploy of %s %s starts: %w", service, version, err)
	}
	if err := a.Deploy(version); err != nil {
		return Answer{}, err
	}
	done := time.Now()
	n.Status, n.FinishedAt = "finished", &done
	answer, err := p.Announce(ctx, n, n.DeploymentID+"-finished")
	if err != nil {
		return answer, fmt.Errorf("announce that the deploy of %s %s has finished: %w", service, version, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.announced = append(p.announced, Announced{Notification: n, Answer: answer})
	return answer, nil
}

// Announced is a finished deploy and what postflight said to it.
type Announced struct {
	Notification
	Answer
}

// Announced returns the deploys of a service that were announced as finished,
// rollbacks included, in order of time.
func (p *Pipeline) Announced(service string) []Announced {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Announced
	for _, a := range p.announced {
		if a.Service == service {
			out = append(out, a)
		}
	}
	return out
}

// Announce sends one notification under an Idempotency-Key, again until it
// arrives. An answer other than 2xx is an error.
func (p *Pipeline) Announce(ctx context.Context, n Notification, key string) (Answer, error) {
	body, err := json.Marshal(n)
	if err != nil {
		return Answer{}, fmt.Errorf("write notification: %w", err)
	}
	return p.Send(ctx, "/api/v1/deployments", body, map[string]string{
		"Authorization": "Bearer " + p.options.Token, "Idempotency-Key": key,
	})
}

// Sent is one notification as it was sent, and what postflight said to it.
type Sent struct {
	Answer
	Header map[string]string
	Sent   []byte
}

// Sent returns every notification that was answered, in order of the answers.
func (p *Pipeline) Sent() []Sent {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Sent(nil), p.sent...)
}

func (p *Pipeline) keep(s Sent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, s)
}

// Send posts a body as it is to a path of postflight.
func (p *Pipeline) Send(ctx context.Context, path string, body []byte, header map[string]string) (Answer, error) {
	begun := time.Now()
	res, err := p.client.R().SetContext(ctx).SetHeader("Content-Type", "application/json").
		SetHeaders(header).SetBody(body).Post(path)
	if err != nil {
		return Answer{}, fmt.Errorf("post %s: %w", path, err)
	}
	answer := Answer{Status: res.StatusCode(), Took: time.Since(begun), SentAt: begun, Body: res.String()}
	defer func() { p.keep(Sent{Answer: answer, Header: header, Sent: body}) }()
	if res.StatusCode() != http.StatusOK && res.StatusCode() != http.StatusAccepted {
		return answer, fmt.Errorf("post %s: postflight answered %s: %s", path, res.Status(), res.String())
	}
	if err := json.Unmarshal(res.Body(), &answer); err != nil {
		return answer, fmt.Errorf("post %s: read the answer %q: %w", path, res.String(), err)
	}
	return answer, nil
}

func (p *Pipeline) nextID() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deploys++
	return fmt.Sprintf("ci-%d", 918000+p.deploys)
}
