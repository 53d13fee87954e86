package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"text/template"

	"github.com/postflight/postflight/alerting"
	"github.com/postflight/postflight/alerting/cdevents"
	"github.com/postflight/postflight/alerting/github"
	"github.com/postflight/postflight/alerting/gitlab"
	"github.com/postflight/postflight/alerting/grafana"
	"github.com/postflight/postflight/alerting/shoutrrr"
	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier"
)

// machine builds a receiver that is a system rather than people, or the long
// tail of services.
func machine(r configs.Receiver, words alerting.Words, out ways) (alerting.Receiver, error) {
	switch {
	case r.GitHub != nil:
		return githubStatus(r.Name, *r.GitHub, out)
	case r.GitLab != nil:
		return gitlabStatus(r.Name, *r.GitLab, out)
	case r.Grafana != nil:
		made, err := grafana.New(r.Name, grafana.Settings{URL: r.Grafana.URL, Token: r.Grafana.Token.Reveal(), Dashboard: r.Grafana.Dashboard}, out.http)
		if err != nil {
			return nil, err
		}
		return made.WithTimeout(r.Grafana.Timeout), nil
	case r.CDEvents != nil:
		made, err := cdevents.New(r.Name, r.CDEvents.URL, r.CDEvents.Token.Reveal(), out.http)
		if err != nil {
			return nil, err
		}
		return made.WithTimeout(r.CDEvents.Timeout), nil
	case r.Shoutrrr != nil:
		return longTail(r, words, out)
	}
	return nil, fmt.Errorf("%q: %s is not available in this version yet", r.Name, r.Kind())
}

func githubStatus(name string, c configs.GitHubStatus, out ways) (alerting.Receiver, error) {
	s := github.Settings{URL: c.URL, Token: c.Token.Reveal(), Writes: c.Status, Trusts: out.comesFrom("github")}
	err := errors.Join(naming(c.Repository, &s.Repository), naming(c.Commit, &s.Commit), naming(c.Context, &s.Context))
	if err != nil {
		return nil, fmt.Errorf("github %q: %w", name, err)
	}
	made, err := github.New(name, s, out.http)
	if err != nil {
		return nil, err
	}
	return made.WithTimeout(c.Timeout), nil
}

func gitlabStatus(name string, c configs.GitLabStatus, out ways) (alerting.Receiver, error) {
	s := gitlab.Settings{URL: c.URL, Token: c.Token.Reveal(), Trusts: out.comesFrom("gitlab")}
	err := errors.Join(naming(c.Project, &s.Project), naming(c.Commit, &s.Commit), naming(c.StatusName, &s.StatusName))
	if err != nil {
		return nil, fmt.Errorf("gitlab %q: %w", name, err)
	}
	made, err := gitlab.New(name, s, out.http)
	if err != nil {
		return nil, err
	}
	return made.WithTimeout(c.Timeout), nil
}

// comesFrom says of a source whether it has a format.
func (w ways) comesFrom(format string) func(source string) bool {
	return func(source string) bool { return w.formats[source] == format }
}

// naming reads the template of a name; "" is none.
func naming(written string, to **template.Template) error {
	if written == "" {
		return nil
	}
	t, err := verifier.NewTemplate("", written)
	if err != nil {
		return fmt.Errorf("read template %q: %w", written, err)
	}
	*to = t.Option("missingkey=zero")
	return nil
}

// SendShoutrrrCommand is the subcommand that calls SendShoutrrr.
const SendShoutrrrCommand = "send-shoutrrr"

func longTail(r configs.Receiver, words alerting.Words, out ways) (alerting.Receiver, error) {
	if out.dial == nil {
		return nil, fmt.Errorf("shoutrrr %q: it goes to the network by a process of its own, and there is none here", r.Name)
	}
	program, err := ownProgram()
	if err != nil {
		return nil, fmt.Errorf("shoutrrr %q: find the program that sends: %w", r.Name, err)
	}
	made, err := shoutrrr.New(r.Name, r.Shoutrrr.URL.Reveal(), words, []string{program, SendShoutrrrCommand})
	if err != nil {
		return nil, err
	}
	return made.WithTimeout(r.Shoutrrr.Timeout), nil
}

// ownProgram is the file that runs now, even where another has taken its name
// since.
func ownProgram() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// SendShoutrrr sends the one message that in holds, in a process of its own,
// and writes to out how it went. Hosts in a service URL are the operator's
// word; link-local and metadata addresses are refused as everywhere.
func SendShoutrrr(in io.Reader, out io.Writer) error {
	return shoutrrr.Serve(in, out, egress{}.transport(true, nil))
}
