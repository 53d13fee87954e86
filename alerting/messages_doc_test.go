package alerting_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/receivertest"
)

var update = flag.Bool("update", false, "write docs/messages.md anew")

const head = `# Messages

<!-- Written by go test ./alerting -run MessagesPage -update from alerting/receivertest's samples and the golden payloads. -->

What postflight tells, by kind of change. Which of them a receiver is told is its
` + "`on`" + ` (see [configuration](configuration.md)); people in chats and mailboxes are
not told by default what needs none of them. The first line alone is enough on a
lock screen; names are cut at 60 characters.

- With a **bot token**, Slack has one message for each verification, which is edited
  as it goes on. An edit makes no sound, so what needs people (a revert, an inconclusive
  verdict, a rollback that was withheld, not confirmed or failed) is also a short reply in
  the message's thread, shown in the channel. What the message is called is stored with the
  delivery: a restart edits it, and does not post it anew; a receiver whose channel was
  changed does. With an incoming webhook each change is a message.
- **Above ten messages a minute** to one receiver of the kinds slack, teams, email
  and shoutrrr, those that wait become one message with counts and links. What is urgent goes out by
  itself. Each delivery in a digest is recorded as delivered with it; a deploy seen or
  cleared is discarded, with the reason, once something later about it was told. While
  such a receiver takes nothing, what isn't urgent waits for one call that goes through.
- **PagerDuty** has one alert for each service and environment
  (` + "`postflight/SERVICE/ENVIRONMENT`" + `): triggered by what needs a person (a revert that a
  guard withheld, a rollback that was not confirmed or came to nothing, an inconclusive
  verdict where ` + "`on_inconclusive: page`" + `), acknowledged while a rollback or a person is at it,
  resolved when it is settled. Every deploy is a change event.
- Nobody who names a version or a service can call a channel: ` + "`<!channel>`, `@here`" + ` and the
  markup of Slack and Teams are escaped.
- ` + "`title`, `text` and `incident_url`" + ` of a receiver are Go templates in place of
  postflight's own words; ` + "`postflight check config`" + ` tries them with a sample of each
  change that the receiver is told. ` + "`.Change`" + ` is the word of ` + "`on`" + `: deploy, cleared, keep,
  revert, inconclusive, superseded, cancelled, action or escalation. ` + "`.Event`" + ` is
  ` + "`verification.opened`, `verification.cleared`, `verification.decided`, `verification.superseded`, `verification.cancelled` or `action.changed`" + `, as webhooks are told.
- GitHub and GitLab need a deploy's commit. One whose source doesn't tell it is skipped once, as
  ` + "`skipped: no commit`" + `, and counts as no failure.

How receivers are set up at the other side: [receivers](integrations/receivers.md).

## In words
`

// TestMessagesPageIsCurrent writes docs/messages.md with -update, and without
// requires that it is what would be written.
func TestMessagesPageIsCurrent(t *testing.T) {
	var page strings.Builder
	page.WriteString(head)
	for _, s := range receivertest.Samples() {
		if s.Name == "hostile" {
			continue
		}
		e, err := alerting.Read(s.Delivery)
		require.NoError(t, err)
		page.WriteString("\n### " + s.Name + "\n\n```text\n" + alerting.Tell(e).Plain() + "\n```\n")
	}
	for _, vendor := range []struct{ name, language, file string }{
		{"Slack", "json", "slack/testdata/revert.json"}, {"Slack: the reply to what was edited", "json", "slack/testdata/reply.json"},
		{"Slack: a digest", "json", "slack/testdata/digest.json"}, {"Microsoft Teams", "json", "teams/testdata/revert.json"},
		{"PagerDuty: an alert", "json", "pagerduty/testdata/withheld.json"}, {"PagerDuty: a change event", "json", "pagerduty/testdata/deploy.json"},
		{"GitHub: the status of a commit", "http", "github/testdata/commit-reverted.http"},
		{"GitHub: the status of a deployment", "http", "github/testdata/deployment-rolled-back.http"},
		{"GitLab", "http", "gitlab/testdata/reverted.http"}, {"Grafana: an annotation", "http", "grafana/testdata/reverted.http"},
		{"Grafana: the annotation is changed", "http", "grafana/testdata/change.http"}, {"CDEvents", "http", "cdevents/testdata/reverted.http"},
		{"Shoutrrr, here ntfy", "text", "shoutrrr/testdata/revert.txt"}, {"Shoutrrr: a digest", "text", "shoutrrr/testdata/digest.txt"},
	} {
		payload, err := os.ReadFile(vendor.file)
		require.NoError(t, err)
		page.WriteString("\n## " + vendor.name + "\n\n```" + vendor.language + "\n" + string(payload) + "```\n")
	}
	const file = "../docs/messages.md"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(page.String()), 0o644))
	}
	have, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, page.String(), string(have), "go test ./alerting -run MessagesPage -update writes it anew")
}
