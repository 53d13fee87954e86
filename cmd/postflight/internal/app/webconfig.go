package app

import (
	"fmt"
	"os"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/exporter-toolkit/web"
)

// webConfig is what has to be known of a web configuration before it serves.
type webConfig struct {
	Users map[string]any `yaml:"basic_auth_users"`
	TLS   map[string]any `yaml:"tls_server_config"`
}

// readWebConfig reads a web configuration; "" is an empty one.
func readWebConfig(file string) (c webConfig, err error) {
	if file == "" {
		return c, nil
	}
	if err := web.Validate(file); err != nil {
		return c, fmt.Errorf("--web.config.file %q: %w", file, err)
	}
	b, err := os.ReadFile(file) // #nosec G304 -- the operator names the file
	if err != nil {
		return c, fmt.Errorf("--web.config.file: %w", err)
	}
	if err := yaml.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("--web.config.file %q: %w", file, err)
	}
	return c, nil
}

// checkWebConfig refuses a web configuration with users: its basic
// authentication would lock the pipelines' notifications out as well.
func checkWebConfig(file string) error {
	c, err := readWebConfig(file)
	if err != nil {
		return err
	}
	if len(c.Users) > 0 {
		return fmt.Errorf("--web.config.file %q: basic_auth_users would lock the intake as well: let people and tools in by `access` in the configuration, and sources by their own secrets", file)
	}
	return nil
}

// scheme is that of the addresses that are served under a web configuration
// which has been checked.
func scheme(file string) string {
	if c, err := readWebConfig(file); err == nil && len(c.TLS) > 0 {
		return "https"
	}
	return "http"
}
