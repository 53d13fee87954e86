package configs

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/prometheus/common/config"
)

// Prometheus is a server that ratio, latency, value and traffic signals read.
type Prometheus struct {
	// Name is what signals refer to.
	Name string `yaml:"name" required:"true"`
	// URL is the server's address, with the path that it is served under if
	// any; no template.
	URL string `yaml:"url" required:"true"`
	// Timeout is for one query, 1s to 2m.
	Timeout time.Duration `yaml:"timeout" default:"10s"`
	// MaxConcurrent is how many queries the server is asked at once by each
	// replica, 1 to 32; what is more waits. All servers and feeds together are
	// asked 32 at once. More than 4 helps where queries wait
	// (postflight_upstream_wait_seconds) though the server is idle; less spares a
	// server that others depend on.
	MaxConcurrent int `yaml:"max_concurrent" default:"4"`
	// MaxRate is how many queries a second the server is asked by each replica, 1
	// to 10000; what is more waits. Two replicas ask up to twice as many: where a
	// hosted server refuses or bills beyond a rate, write that rate divided by the
	// replicas.
	MaxRate int `yaml:"max_rate" default:"500"`
	// BearerToken authenticates the queries.
	BearerToken Secret `yaml:"bearer_token_file"`
	// BasicAuth authenticates the queries; instead of a token.
	BasicAuth *BasicAuth `yaml:"basic_auth"`
	// TLS says how the server's certificate is checked.
	TLS TLS `yaml:"tls"`
}

// TLS says how a server's certificate is checked.
type TLS struct {
	// CAFile is a PEM file with the authorities that are trusted instead of
	// the system's.
	CAFile string `yaml:"ca_file"`
	// InsecureSkipVerify trusts any certificate.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify"`
}

// HTTPClientConfig returns what prometheus/common needs to make a
// RoundTripper for the server: config.NewRoundTripperFromConfig. Redirects are
// not followed, for url is to be the final address.
func (p Prometheus) HTTPClientConfig() config.HTTPClientConfig {
	c := config.HTTPClientConfig{
		EnableHTTP2: true,
		TLSConfig:   config.TLSConfig{CAFile: p.TLS.CAFile, InsecureSkipVerify: p.TLS.InsecureSkipVerify},
	}
	if p.BearerToken.IsSet() {
		c.Authorization = &config.Authorization{Type: "Bearer", Credentials: config.Secret(p.BearerToken.Reveal())}
	}
	if p.BasicAuth != nil {
		c.BasicAuth = &config.BasicAuth{Username: p.BasicAuth.Username, Password: config.Secret(p.BasicAuth.Password.Reveal())}
	}
	return c
}

func (d *decoder) checkPrometheus(list []Prometheus) {
	for i := range list {
		p := &list[i]
		d.staticURL(&p.URL)
		d.between(&p.Timeout, time.Second, 2*time.Minute)
		d.count(&p.MaxConcurrent, 1, 32)
		d.count(&p.MaxRate, 1, 10_000)
		d.auth(&p.BearerToken, p.BasicAuth, &p.BasicAuth)
		d.caFile(&p.TLS)
	}
}

// caFile makes the path independent of the working directory, and looks into
// the file.
func (d *decoder) caFile(t *TLS) {
	if !d.usable(&t.CAFile) {
		return
	}
	n := d.at(&t.CAFile)
	t.CAFile = d.resolve(t.CAFile)
	b, err := readRegular(t.CAFile, 1<<20)
	if err != nil {
		d.foreign(n, "can't read the certificates", fmt.Errorf("%s: %w", absolute(t.CAFile), err))
		return
	}
	if !x509.NewCertPool().AppendCertsFromPEM(b) {
		d.got(n, "holds no certificate in PEM form")
	}
	if t.InsecureSkipVerify {
		d.problem(d.at(&t.InsecureSkipVerify), "trusts every certificate, so that ca_file means nothing: keep one of them")
	}
}
