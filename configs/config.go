package configs

import (
	"net/netip"
	"time"

	"github.com/postflight/postflight/verifier"
)

// Config is a configuration file that was read without a problem: defaults
// filled in, secrets read, policies as the domain knows them. It is never
// changed after the load.
type Config struct {
	// File is the file's name as it was given.
	File string `yaml:"-"`
	// Storage is where postflight keeps its state.
	Storage Storage `yaml:"storage"`
	// Sources are who may announce a deploy; at least one.
	Sources []Source `yaml:"sources" required:"true"`
	// Prometheus are the servers that ratio, latency and value signals read.
	Prometheus []Prometheus `yaml:"prometheus"`
	// Feeds are where the number of tickets comes from.
	Feeds []Feed `yaml:"feeds"`
	// Receivers are told verdicts.
	Receivers []Receiver `yaml:"receivers"`
	// Rollbacks bring the last good version back.
	Rollbacks []Rollback `yaml:"rollbacks"`
	// Access says which people and tools may read and change what. Without it
	// the daemon listens on loopback only.
	Access []Access `yaml:"access"`
	// Egress says where addresses that come out of templates or redirects may
	// point.
	Egress Egress `yaml:"egress"`
	// Safety limits automatic rollbacks, over all policies.
	Safety Safety `yaml:"safety"`
	// Metrics says what /metrics tells of single services.
	Metrics Metrics `yaml:"metrics"`
	// SelfCheck is asked when a probe fails; nil when none is configured.
	SelfCheck *verifier.ProbeStep `yaml:"-"`
	// Policies say what a good deploy is; the first that matches wins.
	Policies []verifier.Policy `yaml:"-"`
}

// file is everything that the file may hold: what Config shows as it is, and
// what is turned into types of the domain.
type file struct {
	Config
	// SelfCheck is a request that is made when a probe has failed, and must
	// succeed before that is believed: where it fails as well, nothing was
	// measured. A good one takes the way that the probes take, through the same
	// name server, network and gateway, to something that none of the verified
	// services is part of and that is up when they are down, such as the
	// gateway's own health page. One to a verified service hides its outages;
	// one to localhost proves nothing.
	SelfCheck *stepSpec `yaml:"self_check"`
	// Calendar names periods: when releases are made, when nothing is touched.
	Calendar []periodSpec `yaml:"calendar"`
	// Policies say what a good deploy is; the first that matches wins. At
	// least one.
	Policies []policySpec `yaml:"policies" required:"true"`
}

// Storage is where postflight keeps its state.
type Storage struct {
	// URL is sqlite:FILE, relative to the working directory, or
	// postgres://USER@HOST/DATABASE, shared by all replicas. A password for
	// PostgreSQL comes from PGPASSWORD or a passfile, never from here.
	URL string `yaml:"url" default:"sqlite:postflight.db"`
	// Retention is how long what has ended is kept.
	Retention Retention `yaml:"retention"`
}

// Retention is how long what has ended is kept. Decisions of people are kept
// for ever, and so is what a running verification, an open rollback or the
// next one needs: what runs, the version to go back to, everything since, and
// the last 20 deployments of each service and environment.
type Retention struct {
	// Observations are kept, with the calibrations, for that long after a
	// verification opened, 1d to 3650d, and at least as long as the longest
	// history of a policy, which raises the default: probes have no other past. Then a verification can
	// no longer be recomputed; its verdict and findings stay.
	Observations time.Duration `yaml:"observations" default:"30d"`
	// Verifications are kept, with their deployments and deliveries, for that
	// long, 1d to 3650d, and at least as long as the other two.
	Verifications time.Duration `yaml:"verifications" default:"400d"`
	// DeliveryIDs of notifications are known for that long, 1d to 3650d: one
	// that comes again later may be a new deploy.
	DeliveryIDs time.Duration `yaml:"delivery_ids" default:"30d"`
}

// Source is someone who may announce a deploy. Native sources use POST
// /api/v1/deployments, all others /api/v1/hooks/NAME.
type Source struct {
	// Name is part of the address of the hook.
	Name string `yaml:"name" required:"true"`
	// Format is what the notifications look like.
	Format string `yaml:"format" required:"true" oneof:"native github gitlab argocd flux cdevents jenkins spinnaker alertmanager"`
	// Token is what a notification must carry; at least 8 characters: the bearer
	// token, for jenkins, spinnaker and alertmanager also as the password of any
	// name, and for gitlab the hook's secret token.
	Token Secret `yaml:"token_file"`
	// OldToken is taken as well, while senders change from it to the new one.
	OldToken Secret `yaml:"old_token_file"`
	// Secret is the key of the notification's signature. For the native format,
	// cdevents and gitlab (its signing token) it is a Standard Webhooks secret:
	// whsec_ with the base64 of 24 to 64 bytes, or, for the first two, any other
	// text of 16 bytes or more, which is the key as it stands. For github and flux
	// (HMAC) it is any text of at least 8 characters.
	Secret Secret `yaml:"secret_file"`
	// OldSecret is taken as well, while senders change from it to the new one.
	OldSecret Secret `yaml:"old_secret_file"`
	// MaxBody is the largest notification in bytes, 1KiB to 25MiB.
	MaxBody int64 `yaml:"max_body" default:"1MiB"`
	// Map names what the deploys are of, in place of where the format finds it;
	// not for native notifications, which name everything themselves.
	Map Names `yaml:"map"`
	// Only lets through only those events that have, at each RFC 9535 path, a
	// text, number or truth that matches the pattern, in which * and ? match anything;
	// others are answered 200 and ignored. Not for native notifications. A
	// workflow_run of GitHub starts something only where this names the workflow:
	// only: { "$.workflow_run.path": ".github/workflows/deploy*.yml" }.
	Only map[string]string `yaml:"only"`
	// Poll asks GitHub for the deployments that its webhook did not bring; for
	// format github only.
	Poll *Poll `yaml:"poll"`
	// Gate answers GitHub's custom deployment protection rules, which ask by the
	// webhook of a GitHub App; for format github only.
	Gate *GitHubGate `yaml:"gate"`
}

// GitHubGate is the GitHub App whose deployment protection rules the gate
// answers: a job that deploys to a protected environment waits until the gate
// lets its release go.
type GitHubGate struct {
	// App is the id of the GitHub App, or its client id.
	App string `yaml:"app" required:"true"`
	// PrivateKey is the App's private key, as GitHub gives it out (PEM).
	PrivateKey Secret `yaml:"private_key_file" required:"true"`
	// URL is the API of GitHub, or of GitHub Enterprise Server:
	// https://HOST/api/v3. Answers go nowhere else.
	URL string `yaml:"url" default:"https://api.github.com"`
	// Reject says when a job is rejected that may not go: once it has waited for
	// long enough (expired), while people can still change that, or at once.
	Reject string `yaml:"reject" default:"expired" oneof:"expired at_once"`
	// Within is how long a job may wait, 1m to 29d; GitHub itself gives up after
	// 30 days.
	Within time.Duration `yaml:"within" default:"29d"`
}

// Poll asks GitHub every so often for deployments and their statuses. GitHub
// sends no webhook a second time: what was sent while postflight was away is
// found like this. What the webhook brought is not doubled.
type Poll struct {
	// Repositories are asked, as OWNER/NAME; 1 to 100.
	Repositories []string `yaml:"repositories" required:"true"`
	// Token may read the deployments of the repositories.
	Token Secret `yaml:"token_file" required:"true"`
	// URL is the API of GitHub, or of GitHub Enterprise Server:
	// https://HOST/api/v3.
	URL string `yaml:"url" default:"https://api.github.com"`
	// Interval is how often each repository is asked, 30s to 1h.
	Interval time.Duration `yaml:"interval" default:"2m"`
	// Within is how old a status may be to count, 5m to 24h: the verification of
	// an older deploy would begin too late to say anything.
	Within time.Duration `yaml:"within" default:"1h"`
}

// Names say what deploys, or alerts, are of. Each is an RFC 9535 path into the
// notification (of alertmanager into each alert), which begins with $, such as
// $.metadata.team, and must lead to one text or number; a Go template over it,
// such as "{{ .project.name }}-{{ .environment | lower }}", which may call
// lower, replace, split, trimPrefix and trimSuffix; or the name itself, the
// same for all of the source's deploys.
type Names struct {
	// Service is what was deployed.
	Service string `yaml:"service"`
	// Environment is where it was deployed.
	Environment string `yaml:"environment"`
	// Version is what runs there now.
	Version string `yaml:"version"`
}

// BasicAuth is a name and password for a server.
type BasicAuth struct {
	// Username is sent as it stands.
	Username string `yaml:"username" required:"true"`
	// Password is sent with it.
	Password Secret `yaml:"password_file" required:"true"`
}

// Access is a person or tool that may read or change something, by bearer
// token or, in a browser, with name and token as name and password.
type Access struct {
	// Name is recorded with every decision.
	Name string `yaml:"name" required:"true"`
	// Token has at least 8 characters and belongs to this name alone.
	Token Secret `yaml:"token_file" required:"true"`
	// May is what is allowed: read verifications and evidence, decide about
	// verdicts, freezes and releases, operate (engage and release the brake, push to feeds),
	// report checklist items and who asks for a release, vote on deploys. Whoever
	// may decide may report and vote as well.
	May []string `yaml:"may" required:"true" oneof:"read decide operate report vote"`
	// Roles are those in which this entry may sign releases off at the gate, such
	// as product, engineering, quality, operations or support. It must be allowed
	// to decide.
	Roles []string `yaml:"roles"`
	// Accounts are other names of the same person, as pipelines call them: who
	// asked for a release by one of them asked for it as this entry.
	Accounts []string `yaml:"accounts"`
}

// Egress limits where addresses that come out of templates or redirects may
// point. Hosts written out in the file are the operator's word; link-local and
// metadata addresses are refused always.
type Egress struct {
	// Allow are address ranges, or single addresses.
	Allow []netip.Prefix `yaml:"allow"`
}

// Safety limits automatic rollbacks, over all policies and replicas.
type Safety struct {
	// Brake stops all automatic rollbacks, until a person releases it.
	Brake Brake `yaml:"brake"`
	// Attribution says when an environment that got worse as a whole explains the
	// harm of a deploy.
	Attribution Attribution `yaml:"attribution"`
	// Caps limit automatic rollbacks of one service and environment; beyond
	// them it is frozen: by the hour's until that has passed, by the day's until a
	// person unfreezes it.
	Caps Caps `yaml:"caps"`
	// RevertExpiresAfter is how long after its verdict a rollback request may
	// still be sent, 1m to 24h.
	RevertExpiresAfter time.Duration `yaml:"revert_expires_after" default:"30m"`
	// OwnService is the name under which postflight itself is deployed. It
	// judges its own deploys and never rolls itself back.
	OwnService string `yaml:"own_service" default:"postflight"`
}

// Metrics says what /metrics tells of single services.
type Metrics struct {
	// Services lets /metrics tell of each service's last deploy and verdict, and
	// of each signal of a watched deploy its state and its levels. The dashboard
	// postflight / Service needs it. Where `access` is configured, /metrics then
	// asks for an entry with read, whose token_file Prometheus is given.
	Services bool `yaml:"services" default:"false"`
	// Series is how many series that may make on each replica, 10 to 10000; what
	// was deployed longest ago is left out first.
	Series int `yaml:"series" default:"1000"`
}

// Brake stops all automatic rollbacks when there are too many.
type Brake struct {
	// Reverts within the time engage the brake; 1 to 100.
	Reverts int `yaml:"reverts" default:"3"`
	// Within is that time, 1m to 24h.
	Within time.Duration `yaml:"within" default:"15m"`
}

// Attribution says when services without a deploy that got worse since a bad
// deploy started make its verdict inconclusive.
type Attribution struct {
	// Ask is how many other services of the environment are asked at most, the
	// most recently deployed ones: 1 to 50.
	Ask int `yaml:"ask" default:"12"`
	// Worse of them are enough, 1 to 50.
	Worse int `yaml:"worse" default:"3"`
	// WorseShare of those that could be judged is enough as well, more than 0,
	// at most 100%. At least one must be worse.
	WorseShare share `yaml:"worse_share" default:"33%"`
}

// Caps limit the automatic rollbacks of one service and environment.
type Caps struct {
	// PerHour in 60 minutes, at least 1.
	PerHour int `yaml:"per_hour" default:"1"`
	// PerDay in 24 hours, at least PerHour.
	PerDay int `yaml:"per_day" default:"2"`
}
