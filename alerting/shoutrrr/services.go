package shoutrrr

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/discord"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/mattermost"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/gotify"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ntfy"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"github.com/postflight/postflight/verifier"
)

// Services are those that are reached, by the scheme of their URL: their calls
// were seen to go over http.DefaultClient, http.DefaultTransport or a client
// that can be given another transport.
var Services = []string{
	"bark", "discord", "googlechat", "gotify", "hangouts", "ifttt", "join", "lark", "matrix", "mattermost", "notifiarr", "ntfy",
	"opsgenie", "pushbullet", "pushover", "rocketchat", "signal", "telegram", "wecom", "zulip",
}

// aliases are older names, which are understood and not offered.
var aliases = []string{"hangouts"} // of googlechat

// offered lists the services by the names that the documentation uses.
func offered() string {
	return strings.Join(slices.DeleteFunc(slices.Clone(Services), func(s string) bool { return slices.Contains(aliases, s) }), ", ")
}

// instead says what to use in place of services that are not reached.
var instead = map[string]string{
	"slack": "use a receiver of kind slack", "teams": "use a receiver of kind teams", "pagerduty": "use a receiver of kind pagerduty",
	"smtp": "use a receiver of kind email", "generic": "use a receiver of kind webhook", "logger": "it reaches nobody",
}

// Check reports what is wrong with a service URL, without telling it, for it
// holds secrets. What only the service can say is not checked.
func Check(address string) error {
	scheme, _, found := strings.Cut(address, "://")
	service := strings.ToLower(scheme)
	switch {
	case !found || service == "":
		return verifier.Errorf(verifier.Invalid, "must be a service URL of shoutrrr, such as ntfy://ntfy.sh/TOPIC, and nothing else")
	case instead[service] != "":
		return verifier.Errorf(verifier.Invalid, "service %q is not reached this way: %s", service, instead[service])
	case strings.Contains(service, "+") || !slices.Contains(Services, service):
		return verifier.Errorf(verifier.Invalid, "is of no service that is reached: %s are", offered())
	}
	if _, err := url.Parse(address); err != nil || strings.ContainsAny(address, " \t\r\n") {
		return verifier.Errorf(verifier.Invalid, "must be one whole URL of service %q: it can't be read", service)
	}
	return nil
}

// locate makes the service with its calls over transport. It may call already:
// matrix logs in.
func locate(address string, transport http.RoundTripper) (types.Service, error) {
	if err := Check(address); err != nil {
		return nil, err
	}
	service, err := (&router.ServiceRouter{}).Locate(address)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: transport, CheckRedirect: noRedirect}
	switch s := service.(type) {
	case *discord.Service:
		s.HTTPClient, s.Sleeper = client, noSleep{}
	case *mattermost.Service:
		*s.GetHTTPClient() = *client
	case *gotify.Service:
		*s.GetHTTPClient() = *client
	case *ntfy.Service:
		s.SetHTTPClient(client)
	}
	return service, nil
}
