// Package app composes the daemon: it is the only place that knows every
// package. The daemon is a value; two live in one process.
package app

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

// Options is what a daemon is started with, from flags and environment.
type Options struct {
	ConfigFile      string
	ListenAddress   string // HOST:PORT; port 0 takes a free one
	WebConfigFile   string // TLS, as exporter-toolkit reads it; "" is plain HTTP
	ExternalURL     string // under which people reach the daemon; "" is the listen address
	StorageURL      string // "" is what the configuration says
	AllowInsecure   bool   // listen beyond loopback without `access`
	EnableLifecycle bool   // POST /-/reload
	Version         string
	Env             func(string) (string, bool) // os.LookupEnv
	Log             *slog.Logger
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
