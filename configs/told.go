package configs

import (
	"net"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// mostMails is how many recipients a mail may have.
const mostMails = 50

// usually is what receivers are told that don't say it, by their kind; a kind
// that isn't here is told verifier.UsualChanges. People are not told what needs
// none of them, and the states of a commit or an alert go along with everything.
var usually = map[string][]verifier.Change{
	"slack":     forPeople,
	"teams":     forPeople,
	"email":     forPeople,
	"shoutrrr":  forPeople,
	"pagerduty": {verifier.ChangeDeploy, verifier.ChangeKeep, verifier.ChangeAction, verifier.ChangeEscalation},
	"grafana":   {verifier.ChangeDeploy, verifier.ChangeKeep, verifier.ChangeRevert, verifier.ChangeInconclusive, verifier.ChangeAction},
	"github":    everyChange,
	"gitlab":    everyChange,
}

var (
	forPeople   = []verifier.Change{verifier.ChangeRevert, verifier.ChangeInconclusive, verifier.ChangeAction, verifier.ChangeEscalation}
	everyChange = append([]verifier.Change{verifier.ChangeDeploy}, verifier.UsualChanges...)
)

// Changes returns what the receiver is told; nil is verifier.UsualChanges.
func (r Receiver) Changes() []verifier.Change {
	if len(r.On) == 0 {
		return usually[r.Kind()]
	}
	var out []verifier.Change
	for _, on := range r.On {
		out = append(out, verifier.Change(on))
	}
	return out
}

// tell returns what those receivers are told, by name, but for those that are
// told the usual.
func tell(receivers []Receiver, names []string) map[string][]verifier.Change {
	var out map[string][]verifier.Change
	for _, r := range receivers {
		if changes := r.Changes(); changes != nil && slices.Contains(names, r.Name) {
			if out == nil {
				out = map[string][]verifier.Change{}
			}
			out[r.Name] = changes
		}
	}
	return out
}

// checkReceivers checks how each receiver is reached, and what it is told.
func (d *decoder) checkReceivers(list []Receiver) {
	for i := range list {
		r := &list[i]
		d.checkKind(r, r.Webhook)
		if d.usable(&r.On) && len(r.On) == 0 {
			d.problem(d.at(&r.On), "is empty: it would be told nothing; take the key out to be told the usual")
		}
		d.toldOnce(r)
		d.silent(r)
		d.wording(r)
		if r.Slack != nil {
			d.checkSlack(r.Slack)
		}
		if r.Teams != nil {
			d.secretURL(&r.Teams.WebhookURL, "https://prod-00.westeurope.logic.azure.com/workflows/...")
			d.between(&r.Teams.Timeout, time.Second, 20*time.Second)
		}
		if r.PagerDuty != nil {
			d.staticURL(&r.PagerDuty.URL)
			d.between(&r.PagerDuty.Timeout, time.Second, 20*time.Second)
			d.routingKey(&r.PagerDuty.RoutingKey)
		}
		if r.Email != nil {
			d.checkEmail(r.Email)
		}
		d.checkMachines(r)
	}
}

func (d *decoder) checkSlack(s *Slack) {
	d.staticURL(&s.URL)
	d.between(&s.Timeout, time.Second, 20*time.Second)
	d.secretURL(&s.WebhookURL, "https://hooks.slack.com/services/...")
	if d.usable(&s.Token) && !botToken.MatchString(s.Token.Reveal()) {
		d.problem(d.at(&s.Token), "must hold a bot token, which begins with xoxb-: of the app's page \"OAuth & Permissions\", and nothing else")
		d.failed[&s.Token] = true
	}
	switch {
	case d.failed[s]:
	case d.written(&s.Token) && d.written(&s.WebhookURL):
		d.problem(d.at(&s.WebhookURL), "is written beside token_file: keep one of them")
	case !d.written(&s.Token) && !d.written(&s.WebhookURL):
		d.problem(d.at(s), "has neither token_file nor webhook_url_file: write one of them")
	case d.written(&s.Token) && !d.written(&s.Channel):
		d.problem(d.at(&s.Channel), "is required with a token: the id of the channel, such as C0123456789")
	case !d.written(&s.Token) && d.written(&s.Channel):
		d.problem(d.at(&s.Channel), "goes with a token only: a webhook posts to its own channel")
	case d.usable(&s.Channel) && !channelForm.MatchString(s.Channel):
		d.got(d.at(&s.Channel), "must be the id of a channel, such as C0123456789, or its name, which has no white space")
	}
}

var (
	// botToken is the form of Slack's tokens of bots, rotated ones as well.
	botToken    = regexp.MustCompile(`^(xoxe\.)?xoxb-[A-Za-z0-9-]+$`)
	channelForm = regexp.MustCompile(`^#?[^\s,#@/]{1,80}$`)
)

// toldOnce refuses a change that is written twice.
func (d *decoder) toldOnce(r *Receiver) {
	for i, on := range r.On {
		if d.usable(&r.On[i]) && slices.Contains(r.On[:i], on) {
			d.got(d.at(&r.On[i]), "is written already: take it out")
		}
	}
}

// silent refuses words for a receiver that says none: they would do nothing.
func (d *decoder) silent(r *Receiver) {
	if r.Slack != nil || r.Teams != nil || r.PagerDuty != nil || r.Email != nil || r.Shoutrrr != nil || r.Kind() == "" {
		return
	}
	for _, field := range []*string{&r.Title, &r.Text, &r.IncidentURL} {
		if d.usable(field) {
			d.fail(d.at(field), field, "has no effect on a receiver of kind %s, which people don't read: take it out", r.Kind())
		}
	}
}

// secretURL checks an address that is a secret: what is wrong is told without
// it. example is one of its kind.
func (d *decoder) secretURL(s *Secret, example string) {
	if !d.usable(s) {
		return
	}
	address := s.Reveal()
	if !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "https://") || strings.ContainsAny(address, " \t\r\n") {
		d.problem(d.at(s), "must hold one whole address, such as %s, and nothing else", example)
		d.failed[s] = true
	}
}

func (d *decoder) routingKey(s *Secret) {
	if d.usable(s) && len(s.Reveal()) != 32 {
		d.problem(d.at(s), "must hold the integration key of an Events API v2 integration: 32 letters and digits (got %d)", len(s.Reveal()))
		d.failed[s] = true
	}
}

func (d *decoder) checkEmail(e *Email) {
	d.between(&e.Timeout, time.Second, 20*time.Second)
	d.caFile(&e.TLS)
	if d.usable(&e.Server) {
		host, port, err := net.SplitHostPort(e.Server)
		number, bad := strconv.Atoi(port)
		if err != nil || host == "" || bad != nil || number < 1 || number > 65535 {
			d.got(d.at(&e.Server), "must be HOST:PORT, such as smtp.example.com:587")
			d.failed[&e.Server] = true
		}
	}
	switch {
	case d.failed[e]:
	case d.usable(&e.Username) && !d.written(&e.Password):
		d.problem(d.at(&e.Password), "is required beside a username")
	case d.written(&e.Password) && !d.written(&e.Username):
		d.problem(d.at(&e.Username), "is required beside a password")
	case d.usable(&e.Password) && e.Encryption == "none":
		d.problem(d.at(&e.Encryption), "none would send the password in clear: use starttls or tls")
	}
	d.mailbox(&e.From)
	for i := range e.To {
		d.mailbox(&e.To[i])
	}
	if d.usable(&e.To) && (len(e.To) == 0 || len(e.To) > mostMails) {
		d.problem(d.at(&e.To), "must be 1 to %d recipients (got %d)", mostMails, len(e.To))
	}
}

func (d *decoder) mailbox(field *string) {
	if !d.usable(field) {
		return
	}
	if _, err := mail.ParseAddress(*field); err != nil {
		d.got(d.at(field), "must be a mail address, such as oncall@example.com or \"On call <oncall@example.com>\"")
		d.failed[field] = true
	}
}
