package configs

import (
	"reflect"
	"time"
)

// Receiver is told what becomes of deploys. Exactly one kind is set.
type Receiver struct {
	// Name is what policies refer to.
	Name string `yaml:"name" required:"true"`
	// On is what it is told: deploy (one was seen and is watched from now on),
	// cleared, the verdicts keep, revert and inconclusive, superseded, cancelled,
	// action (a rollback goes as it should, or a person decided otherwise), and
	// escalation (somebody has to look: a revert that a guard withheld, a rollback
	// that was not confirmed or came to nothing, an inconclusive verdict where
	// on_inconclusive is page). By default slack, teams, email and shoutrrr are
	// told revert, inconclusive, action and escalation; pagerduty deploy, keep,
	// action and escalation; grafana deploy, keep, revert, inconclusive and action;
	// webhook and cdevents all but deploy; github and gitlab everything. A
	// verification keeps what held when its deploy was seen.
	On []string `yaml:"on" oneof:"deploy cleared keep revert inconclusive superseded cancelled action escalation"`
	// Title is a Go template of a message's first line, in place of
	// postflight's own, for kinds that people read: slack, teams, pagerduty, email
	// and shoutrrr. It may use .Title and .Text (postflight's own words), .Change (a
	// word of on: deploy, cleared, keep, revert, inconclusive, superseded, cancelled,
	// action or escalation), .Event (verification.opened, verification.cleared,
	// verification.decided, verification.superseded, verification.cancelled or
	// action.changed), .Urgent, .At and everything in the record of the
	// verification, such as .Deployment.Service, .Action.Reason or range .Signals.
	// It loops over lists of the record alone, two in one another at most.
	Title string `yaml:"title"`
	// Text is a template likewise, of what a message says below its first line.
	Text string `yaml:"text"`
	// IncidentURL is where people open an incident after a revert: a template of
	// an address, which may use what Title may. Messages about reverts link to it.
	IncidentURL string `yaml:"incident_url"`

	// Webhook posts every change of a verification to an address.
	Webhook *Webhook `yaml:"webhook"`
	// Slack posts to a channel.
	Slack *Slack `yaml:"slack"`
	// Teams posts an Adaptive Card to a channel of Microsoft Teams.
	Teams *Teams `yaml:"teams"`
	// PagerDuty triggers, acknowledges and resolves an alert for each service
	// and environment, and tells of deploys as change events.
	PagerDuty *PagerDuty `yaml:"pagerduty"`
	// Email sends mails, as HTML and as text.
	Email *Email `yaml:"email"`
	// GitHub sets the status of the commit that was deployed, or of the
	// deployment.
	GitHub *GitHubStatus `yaml:"github"`
	// GitLab sets the status of the commit that was deployed.
	GitLab *GitLabStatus `yaml:"gitlab"`
	// Grafana marks deploys and verdicts in graphs, as annotations.
	Grafana *Annotations `yaml:"grafana"`
	// CDEvents sends events, each in a CloudEvent over HTTP.
	CDEvents *EventSink `yaml:"cdevents"`
	// Shoutrrr reaches the services of that library: bark, discord, googlechat,
	// gotify, ifttt, join, lark, matrix, mattermost, notifiarr, ntfy, opsgenie,
	// pushbullet, pushover, rocketchat, signal, telegram, wecom and zulip.
	Shoutrrr *Shoutrrr `yaml:"shoutrrr"`
}

// Kind returns which kind of receiver it is: the key it is written under.
func (r Receiver) Kind() string { return firstKind(kindsOf(&r)) }

// Rollback brings the last good version back. Exactly one kind is set.
type Rollback struct {
	// Name is what policies refer to.
	Name string `yaml:"name" required:"true"`
	// Webhook posts a rollback request to an address.
	Webhook *Webhook `yaml:"webhook"`
	// Ready is an address, http or https, that answers GET with 2xx while the
	// rollback could be carried out: for gates with rollback_answers. Without it
	// the hook itself is sent HEAD.
	Ready string `yaml:"ready"`

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

// Slack posts to a channel, by an incoming webhook or, with a token, by its
// API: then each verification has one message, which is edited as it goes on.
type Slack struct {
	// WebhookURL is the address of an incoming webhook, which is itself a secret.
	WebhookURL Secret `yaml:"webhook_url_file"`
	// Token is a bot token (xoxb-) with the scope chat:write; instead of a
	// webhook.
	Token Secret `yaml:"token_file"`
	// Channel is the id of the channel that the bot posts to, such as
	// C0123456789, or the channel's name; with a token only. A webhook has its
	// own.
	Channel string `yaml:"channel"`
	// URL is Slack's API; https://slack-gov.com/api for GovSlack.
	URL string `yaml:"url" default:"https://slack.com/api"`
	// Timeout is for one attempt, 1s to 20s.
	Timeout time.Duration `yaml:"timeout" default:"20s"`
}

// Teams posts to a channel of Microsoft Teams.
type Teams struct {
	// WebhookURL is the address of the workflow "Post to a channel when a webhook
	// request is received", which is itself a secret.
	WebhookURL Secret `yaml:"webhook_url_file" required:"true"`
	// Timeout is for one attempt, 1s to 20s.
	Timeout time.Duration `yaml:"timeout" default:"20s"`
}

// PagerDuty is an integration of the kind Events API v2.
type PagerDuty struct {
	// RoutingKey is the integration's key: 32 letters and digits.
	RoutingKey Secret `yaml:"routing_key_file" required:"true"`
	// URL is the Events API; https://events.eu.pagerduty.com for accounts in the
	// EU.
	URL string `yaml:"url" default:"https://events.pagerduty.com"`
	// Timeout is for one attempt, 1s to 20s.
	Timeout time.Duration `yaml:"timeout" default:"20s"`
}

// Email is a mail server that takes mails from postflight, and whom they go to.
type Email struct {
	// Server is HOST:PORT of the mail server (SMTP).
	Server string `yaml:"server" required:"true"`
	// Encryption is starttls (usually port 587: nothing is sent where the server
	// doesn't offer it), tls from the first byte (usually port 465), or none,
	// which takes no password.
	Encryption string `yaml:"encryption" default:"starttls" oneof:"starttls tls none"`
	// Username belongs to the password.
	Username string `yaml:"username"`
	// Password authenticates postflight, by the strongest of SCRAM, CRAM-MD5,
	// PLAIN and LOGIN that the server offers.
	Password Secret `yaml:"password_file"`
	// From is the sender: an address, or a name and an address.
	From string `yaml:"from" required:"true"`
	// To are the recipients, 1 to 50.
	To []string `yaml:"to" required:"true"`
	// TLS says how the server's certificate is checked.
	TLS TLS `yaml:"tls"`
	// Timeout is for one attempt, 1s to 20s.
	Timeout time.Duration `yaml:"timeout" default:"20s"`
}

// GitHubStatus is a GitHub whose commits or deployments get statuses.
type GitHubStatus struct {
	// URL is GitHub's API; https://HOST/api/v3 for GitHub Enterprise Server.
	URL string `yaml:"url" default:"https://api.github.com"`
	// Token may write commit statuses or deployments, whichever Status says.
	Token Secret `yaml:"token_file" required:"true"`
	// Status is what is set: of the commit, with each change of the verification
	// (pending while watched; success; failure for revert; error for what got no
	// verdict), or of the deployment, once it is known what becomes of it (success
	// when kept, failure when rolled back). For both write two receivers.
	Status string `yaml:"status" default:"commit" oneof:"commit deployment"`
	// Repository is OWNER/NAME: a template that may use everything in the record
	// of the verification. By default it is what a source of format github told;
	// others may not say which repository gets a status.
	Repository string `yaml:"repository"`
	// Commit is the commit's whole hash: a template likewise. By default it is the
	// deploy's label commit, or its version where that is a hash.
	Commit string `yaml:"commit"`
	// Context is what the status of a commit is called: a template likewise. By
	// default it is postflight/ENVIRONMENT, with /SERVICE behind it where the
	// service isn't called like the repository.
	Context string `yaml:"context"`
	// Timeout is for one attempt, 1s to 20s.
	Timeout time.Duration `yaml:"timeout" default:"20s"`
}

// GitLabStatus is a GitLab whose commits get statuses.
type GitLabStatus struct {
	// URL is the server.
	URL string `yaml:"url" default:"https://gitlab.com"`
	// Token is an access token with the scope api and at least the role Developer.
	Token Secret `yaml:"token_file" required:"true"`
	// Project is its path or number: a template that may use everything in the
	// record of the verification. By default it is what a source of format gitlab
	// told; others may not say which project gets a status.
	Project string `yaml:"project"`
	// Commit is the commit's whole hash: a template likewise. By default it is the
	// deploy's label commit, or its version where that is a hash.
	Commit string `yaml:"commit"`
	// StatusName is what the status is called: a template likewise. By default it
	// is postflight/ENVIRONMENT, with /SERVICE behind it where the service isn't
	// called like the project.
	StatusName string `yaml:"status_name"`
	// Timeout is for one attempt, 1s to 20s.
	Timeout time.Duration `yaml:"timeout" default:"20s"`
}

// Annotations is a Grafana whose graphs show deploys and verdicts.
type Annotations struct {
	// URL is Grafana, with its path where it has one.
	URL string `yaml:"url" required:"true"`
	// Token is of a service account that may write annotations.
	Token Secret `yaml:"token_file" required:"true"`
	// Dashboard is the uid of the only dashboard that shows them. By default every
	// dashboard does that asks for the tags postflight, service:NAME, env:NAME or
	// verdict:WORD.
	Dashboard string `yaml:"dashboard"`
	// Timeout is for one attempt, 1s to 20s.
	Timeout time.Duration `yaml:"timeout" default:"20s"`
}

// EventSink is where CDEvents are posted.
type EventSink struct {
	// URL is the address, http or https; no template.
	URL string `yaml:"url" required:"true"`
	// Token is sent as bearer token, where the sink asks for one.
	Token Secret `yaml:"token_file"`
	// Timeout is for one attempt, 1s to 20s.
	Timeout time.Duration `yaml:"timeout" default:"20s"`
}

// Shoutrrr is one service of that library.
type Shoutrrr struct {
	// URL is the service URL, which is itself a secret, such as
	// ntfy://ntfy.sh/TOPIC (https://shoutrrr.nickfedor.com/services).
	URL Secret `yaml:"url_file" required:"true"`
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
