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
  as it goes on; edits make no sound, so page for escalations by PagerDuty. What the
  message is called is stored with the delivery: a restart edits it, and does not post
  it anew. With an incoming webhook each change is a message.
- **Above ten messages a minute** to one receiver of the kinds slack, teams and email,
  those that wait become one message with counts and links. What is urgent goes out by
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
  change that the receiver is told.

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
		page.WriteString("\n### " + s.Name + "\n\n```\n" + alerting.Tell(e).Plain() + "\n```\n")
	}
	for _, vendor := range []struct{ name, file string }{
		{"Slack", "slack/testdata/revert.json"}, {"Slack: a digest", "slack/testdata/digest.json"}, {"Microsoft Teams", "teams/testdata/revert.json"},
		{"PagerDuty: an alert", "pagerduty/testdata/withheld.json"}, {"PagerDuty: a change event", "pagerduty/testdata/deploy.json"},
	} {
		payload, err := os.ReadFile(vendor.file)
		require.NoError(t, err)
		page.WriteString("\n## " + vendor.name + "\n\n```json\n" + string(payload) + "```\n")
	}
	const file = "../docs/messages.md"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(page.String()), 0o644))
	}
	have, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, page.String(), string(have), "go test ./alerting -run MessagesPage -update writes it anew")
}
