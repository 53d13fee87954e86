package configs

import (
	"reflect"
	"time"
)

// Receiver is told verdicts. Exactly one kind is set.
type Receiver struct {
	// Name is what policies refer to.
	Name string `yaml:"name" required:"true"`
	// Webhook posts every change of a verification to an address.
	Webhook *Webhook `yaml:"webhook"`

	// Slack posts to a channel.
	Slack *Planned `yaml:"slack"`
	// Teams posts to a channel.
	Teams *Planned `yaml:"teams"`
	// PagerDuty opens and resolves incidents.
	PagerDuty *Planned `yaml:"pagerduty"`
	// Email sends mails.
	Email *Planned `yaml:"email"`
	// GitHub sets the status of the deployment.
	GitHub *Planned `yaml:"github"`
	// GitLab sets the status of the deployment.
	GitLab *Planned `yaml:"gitlab"`
	// Grafana writes annotations.
	Grafana *Planned `yaml:"grafana"`
	// CDEvents sends events.
	CDEvents *Planned `yaml:"cdevents"`
	// Shoutrrr reaches the services of that library.
	Shoutrrr *Planned `yaml:"shoutrrr"`
}

// Kind returns which kind of receiver it is: the key it is written under.
func (r Receiver) Kind() string { return firstKind(kindsOf(&r)) }

// Rollback brings the last good version back. Exactly one kind is set.
type Rollback struct {
	// Name is what policies refer to.
	Name string `yaml:"name" required:"true"`
	// Webhook posts a rollback request to an address.
	Webhook *Webhook `yaml:"webhook"`

	// ArgoCD rolls an application back.
	ArgoCD *Planned `yaml:"argocd"`
	// GitHub starts a workflow.
	GitHub *Planned `yaml:"github"`
	// GitLab starts a pipeline.
	GitLab *Planned `yaml:"gitlab"`
	// Spinnaker starts a pipeline.
	Spinnaker *Planned `yaml:"spinnaker"`
}

// Kind returns which kind of rollback it is: the key it is written under.
func (r Rollback) Kind() string { return firstKind(kindsOf(&r)) }

// Webhook is an address that is posted to, signed as Standard Webhooks.
type Webhook struct {
	// URL is the address, http or https; no template.
	URL string `yaml:"url" required:"true"`
	// Secret is the key of the signature: whsec_ with the base64 of 24 to 64
	// bytes, or any other text of 16 bytes or more, which is the key as it
	// stands.
	Secret Secret `yaml:"secret_file" required:"true"`
	// Timeout is for one attempt, 1s to 20s.
	Timeout time.Duration `yaml:"timeout" default:"20s"`
}

// Planned holds the settings of a kind that the schema knows and this version
// doesn't have yet. Not every kind needs every one.
type Planned struct {
	// URL is the system's address.
	URL string `yaml:"url"`
	// Project is a project or repository, as the system names it.
	Project string `yaml:"project"`
	// Application is an application, as the system names it.
	Application string `yaml:"application"`
	// Workflow is a workflow or pipeline, as the system names it.
	Workflow string `yaml:"workflow"`
	// Channel overrides where a message goes.
	Channel string `yaml:"channel"`
	// From is the sender of a mail.
	From string `yaml:"from"`
	// To are the recipients of a mail.
	To []string `yaml:"to"`
	// Username belongs to the password.
	Username string `yaml:"username"`
	// WebhookURL is an address that is itself a secret.
	WebhookURL Secret `yaml:"webhook_url_file"`
	// Token authenticates postflight.
	Token Secret `yaml:"token_file"`
	// Password authenticates postflight.
	Password Secret `yaml:"password_file"`
	// RoutingKey chooses the service that is paged.
	RoutingKey Secret `yaml:"routing_key_file"`
	// Secret is the key of a signature.
	Secret Secret `yaml:"secret_file"`
}

// kind is one of the kinds that a receiver or rollback may be.
type kind struct {
	name    string
	field   any // pointer to the field, as the decoder knows it
	set     bool
	planned bool
}

// kindsOf returns the kinds of a receiver or rollback, given as pointer.
func kindsOf(owner any) []kind {
	v := reflect.ValueOf(owner).Elem()
	var out []kind
	for _, k := range keysOf(v.Type()) {
		f := v.FieldByIndex(k.index)
		if f.Kind() == reflect.Pointer {
			out = append(out, kind{name: k.name, field: f.Addr().Interface(), set: !f.IsNil(), planned: f.Type() == reflect.TypeFor[*Planned]()})
		}
	}
	return out
}

func firstKind(kinds []kind) string {
	for _, k := range kinds {
		if k.set {
			return k.name
		}
	}
	return ""
}
