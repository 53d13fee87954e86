// Package app composes the daemon: it is the only place that knows every
// package. The daemon is a value; two live in one process.
package app

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options is what a daemon is started with, from flags and environment.
type Options struct {
	ConfigFile      string
	ListenAddress   string // HOST:PORT; port 0 takes a free one; "" in a simulated world, where Handler is called instead
	WebConfigFile   string // TLS, as exporter-toolkit reads it; "" is plain HTTP
	ExternalURL     string // under which people reach the daemon; "" is the listen address
	StorageURL      string // "" is what the configuration says
	AllowInsecure   bool   // listen beyond loopback without `access`
	EnableLifecycle bool   // POST /-/reload
	Version         string
	Env             func(string) (string, bool) // os.LookupEnv
	Log             *slog.Logger

	// Transport, where set, carries every outbound call in the place of the
	// network: a simulated world has no sockets. The egress rule is asked when
	// a connection is made, so it isn't asked here.
	Transport http.RoundTripper
	// Store, where set, puts something between the daemon and its store:
	// faults, in tests.
	Store func(Storage) Storage
	// Poll is how long a look or a delivery may wait after it is due; 0 is
	// 200 ms. Simulated days go by faster with more.
	Poll time.Duration
}

// check finds what is wrong with the options themselves.
func (o Options) check() error {
	if o.ExternalURL != "" {
		u, err := url.Parse(o.ExternalURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.User != nil {
			return fmt.Errorf("--web.external-url: not an address such as https://postflight.example (got %q)", o.ExternalURL)
		}
	}
	return checkWebConfig(o.WebConfigFile)
}

// base is the external address without a slash at its end.
func base(externalURL string) string { return strings.TrimRight(externalURL, "/") }
