package intake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	gh "github.com/google/go-github/v84/github"

	"github.com/postflight/postflight/verifier"
)

// requesting is a format of which an event may ask the gate, and wait for its
// answer. mine is false for every other event.
type requesting interface {
	request(h http.Header, body []byte, s Source) (r *verifier.GateRequest, ignored string, mine bool, err error)
}

// protectionRule is GitHub's event by which a job waits for a custom deployment
// protection rule.
const protectionRule = "deployment_protection_rule"

func (github) request(h http.Header, body []byte, s Source) (*verifier.GateRequest, string, bool, error) {
	if h.Get(gh.EventTypeHeader) != protectionRule {
		return nil, "", false, nil
	}
	r, ignored, err := readRule(body, s)
	return r, ignored, true, err
}

func readRule(body []byte, s Source) (*verifier.GateRequest, string, error) {
	if s.GateURL == "" {
		return nil, "nobody answers deployment protection rules: give the source its gate", nil
	}
	if _, err := readObject(body); err != nil {
		return nil, "", err
	}
	var event gh.DeploymentProtectionRuleEvent
	if err := json.Unmarshal(body, &event); err != nil {
		return nil, "", wrongType(err, protectionRule+" event")
	}
	if action := event.GetAction(); action != "requested" {
		return nil, fmt.Sprintf("action %q of a deployment protection rule asks nothing", shorten(action)), nil
	}
	if why := s.Map.passedOver(body); why != "" {
		return nil, why, nil
	}
	e := githubDeployment(event.GetDeployment(), event.GetRepo(), event.GetSender())
	d := &e.deployment
	if event.GetEnvironment() != "" {
		d.Environment, e.origins.environment = event.GetEnvironment(), "environment"
	}
	wrong := append(s.Map.apply(d, e.origins, body), e.wrong...)
	need := func(field string, ok bool, message, value string) {
		if !ok {
			wrong = append(wrong, verifier.FieldError{Field: field, Message: message, Value: value})
		}
	}
	need("environment", wrongText(event.GetEnvironment(), maxText) == "" && event.GetEnvironment() != "", "must be the name of the environment that waits", shorten(event.GetEnvironment()))
	need("installation.id", event.GetInstallation().GetID() > 0, "is required: let the GitHub App send the event, not a webhook of the repository", "")
	need("deployment.id", event.GetDeployment().GetID() > 0, "is required", "")
	if _, _, _, err := GitHubRun(s.GateURL, event.GetDeploymentCallbackURL()); err != nil {
		need("deployment_callback_url", false, "must be that of a run at "+s.GateURL+", which gate.url of the source names: "+strings.TrimSuffix(s.GateURL, "/")+
			"/repos/OWNER/NAME/actions/runs/ID/"+protectionRule, shorten(event.GetDeploymentCallbackURL()))
	}
	if len(wrong) > 0 {
		return nil, "", verifier.InvalidFields("the rule can't be answered: these fields of the event are wrong", wrong...)
	}
	return &verifier.GateRequest{
		Release: verifier.Release{Service: d.Service, Environment: d.Environment, Version: d.Version},
		Source:  s.Name, Actor: d.Actor, Callback: event.GetDeploymentCallbackURL(), Waits: event.GetEnvironment(), Installation: event.GetInstallation().GetID(),
		// A run that is tried again has a deployment of its own.
		Key: fmt.Sprintf("%s %s %d", event.GetDeploymentCallbackURL(), event.GetEnvironment(), event.GetDeployment().GetID()),
	}, "", nil
}

var callbackPath = regexp.MustCompile(`^repos/([A-Za-z0-9._-]{1,100})/([A-Za-z0-9._-]{1,100})/actions/runs/([1-9][0-9]{0,18})/` + protectionRule + `$`)

// GitHubRun reads the address to which the answer of a deployment protection rule
// goes: it must be that of a workflow run at the API, for who sends an event must
// not choose where a token of ours goes.
func GitHubRun(api, callback string) (owner, repository string, run int64, err error) {
	base, err := url.Parse(strings.TrimSuffix(api, "/") + "/")
	if err != nil {
		return "", "", 0, verifier.Errorf(verifier.Invalid, "%q is not the address of an API", api)
	}
	u, err := url.Parse(callback)
	if err != nil || u.Scheme != base.Scheme || u.Host != base.Host || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", "", 0, verifier.Errorf(verifier.Invalid, "%q is not at the API %s", shorten(callback), api)
	}
	rest, within := strings.CutPrefix(u.EscapedPath(), base.EscapedPath())
	found := callbackPath.FindStringSubmatch(rest)
	if !within || found == nil || strings.Trim(found[1], ".") == "" || strings.Trim(found[2], ".") == "" {
		return "", "", 0, verifier.Errorf(verifier.Invalid, "%q is not a workflow run's", shorten(callback))
	}
	run, err = strconv.ParseInt(found[3], 10, 64)
	if err != nil {
		return "", "", 0, verifier.Errorf(verifier.Invalid, "%q is not a workflow run's", shorten(callback))
	}
	return found[1], found[2], run, nil
}
