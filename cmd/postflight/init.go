package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
	"github.com/postflight/postflight/cmd/postflight/internal/setup"
	"github.com/postflight/postflight/configs"
)

// toStdout is the file name that stands for standard output.
const toStdout = "-"

func initCommand(s streams) *cobra.Command {
	var access setup.Access
	var file, service string
	var force bool
	cmd := &cobra.Command{
		Use:   "init --prometheus URL",
		Short: "Propose a configuration out of what a Prometheus has",
		Long: `Asks a Prometheus for the metrics of meshes, proxies and libraries that it knows,
and writes a commented configuration that watches their services, in shadow: it
calls nothing. A token for pipelines is made in secrets/pipeline beside it, where
there is none. With --config.file=- the configuration is printed, and nothing else
is written.`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if access.URL == "" {
				return usagef("--prometheus is required: the address of a Prometheus, such as http://127.0.0.1:9090")
			}
			if (access.Username == "") != (access.PasswordFile == "") {
				return usagef("--prometheus.username and --prometheus.password-file belong together")
			}
			if access.Username != "" && access.BearerTokenFile != "" {
				return usagef("--prometheus.bearer-token-file and --prometheus.username: one of them")
			}
			server, err := prometheusOf(access)
			if err != nil {
				return err
			}
			if _, err := os.Lstat(file); err == nil && file != toStdout && !force {
				return fmt.Errorf("%s is there already: --force writes it anew, --config.file names another", file)
			}
			return propose(cmd.Context(), s, server, access, file, service)
		},
	}
	f := cmd.Flags()
	f.StringVar(&access.URL, "prometheus", "", "address of the Prometheus (required)")
	f.StringVar(&access.BearerTokenFile, "prometheus.bearer-token-file", "", "file with the bearer token for it")
	f.StringVar(&access.Username, "prometheus.username", "", "name for its basic authentication")
	f.StringVar(&access.PasswordFile, "prometheus.password-file", "", "file with the password for it")
	f.StringVar(&access.CAFile, "prometheus.ca-file", "", "PEM file with the authorities that are trusted for it")
	f.StringVar(&file, "config.file", "postflight.yml", "file to write; - prints it")
	f.StringVar(&service, "service", "", "only this service (default: all that are found)")
	f.BoolVar(&force, "force", false, "overwrite the file")
	return cmd
}

// propose asks, writes, and reads again what it wrote.
func propose(ctx context.Context, s streams, p configs.Prometheus, access setup.Access, file, service string) error {
	server, err := app.AskPrometheus(p)
	if err != nil {
		return err
	}
	presets, err := setup.Presets()
	if err != nil {
		return err
	}
	now := time.Now()
	found, err := setup.Discover(ctx, server, presets, now, func(p setup.Preset, f *setup.Found) {
		if f != nil {
			fmt.Fprintf(s.err, "found %s: %d services by the label %s\n", p.Title, len(f.Services), f.ServiceLabel())
		}
	})
	if err != nil {
		return withCredentials(err, access)
	}
	if len(found) == 0 {
		var known []string
		for _, p := range presets {
			known = append(known, p.Metric)
		}
		return fmt.Errorf("%s had no series in the last hour of anything that is known here (%s): write the signals by hand, as docs/start.md shows", access.URL, strings.Join(known, ", "))
	}
	proposal, err := setup.Propose(found, service)
	if err != nil {
		return err
	}
	if file != toStdout {
		access = beside(access, filepath.Dir(file))
	}
	var text bytes.Buffer
	if err := setup.Write(&text, proposal, access, now); err != nil {
		return err
	}
	if file == toStdout {
		_, err := s.out.Write(text.Bytes())
		return err
	}
	return keep(s, file, text.Bytes())
}

// refusedAccess is how the Prometheus client tells of a server, or of a proxy
// before it, that wants to know who asks.
var refusedAccess = regexp.MustCompile(`\b40[13]\b`)

// withCredentials adds what to do about a server that wants to know who asks.
func withCredentials(err error, access setup.Access) error {
	if access.BearerTokenFile == "" && access.Username == "" && refusedAccess.MatchString(err.Error()) {
		return fmt.Errorf("%w: it wants credentials: --prometheus.bearer-token-file, or --prometheus.username and --prometheus.password-file", err)
	}
	return err
}

// keep writes the configuration and the token that it names.
func keep(s streams, file string, text []byte) error {
	token := filepath.Join(filepath.Dir(file), "secrets", "pipeline")
	made, err := makeToken(token)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, text, 0o644); err != nil { //nolint:gosec // it holds no secret, and people read it
		return fmt.Errorf("write the configuration: %w", err)
	}
	if _, err := configs.Load(file, os.LookupEnv); err != nil {
		return fmt.Errorf("what was proposed is not valid, which is a fault of postflight's; mend it by hand: %w", err)
	}
	fmt.Fprintf(s.out, "wrote %s\n", file)
	if made {
		fmt.Fprintf(s.out, "wrote %s, the token of those who announce deploys\n", token)
	}
	fmt.Fprintf(s.out, "next: postflight check config --online %s\n", file)
	return nil
}

// makeToken writes a random token where there is none.
func makeToken(file string) (made bool, err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return false, fmt.Errorf("make the folder of secrets: %w", err)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // beside the file that the caller named
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("write the token: %w", err)
	}
	random := make([]byte, 24)
	_, _ = rand.Read(random)                           // never fails
	_, err = f.WriteString(hex.EncodeToString(random)) // no newline, for scripts that read it as it is
	if err = errors.Join(err, f.Close()); err != nil {
		return false, fmt.Errorf("write the token: %w", err)
	}
	return true, nil
}

// prometheusOf is the server as a configuration has it.
func prometheusOf(a setup.Access) (configs.Prometheus, error) {
	u, err := url.Parse(a.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return configs.Prometheus{}, usagef("--prometheus must be an address such as http://127.0.0.1:9090: got %q", a.URL)
	case u.User != nil:
		return configs.Prometheus{}, usagef("--prometheus must hold no password: use --prometheus.username and --prometheus.password-file")
	}
	p := configs.Prometheus{Name: setup.Server, URL: a.URL, Timeout: 30 * time.Second, TLS: configs.TLS{CAFile: a.CAFile}}
	if a.BearerTokenFile != "" {
		token, err := secretIn(a.BearerTokenFile)
		if err != nil {
			return p, err
		}
		p.BearerToken = token
	}
	if a.Username != "" {
		password, err := secretIn(a.PasswordFile)
		if err != nil {
			return p, err
		}
		p.BasicAuth = &configs.BasicAuth{Username: a.Username, Password: password}
	}
	return p, nil
}

func secretIn(file string) (configs.Secret, error) {
	b, err := os.ReadFile(file) //nolint:gosec // the caller named it
	if err != nil {
		return configs.Secret{}, fmt.Errorf("read the secret: %w", err)
	}
	text := strings.TrimRight(string(b), "\r\n")
	if text == "" {
		return configs.Secret{}, fmt.Errorf("%s is empty", file)
	}
	return configs.NewSecret(text), nil
}

// beside writes the files as a configuration in dir refers to them.
func beside(a setup.Access, dir string) setup.Access {
	for _, file := range []*string{&a.BearerTokenFile, &a.PasswordFile, &a.CAFile} {
		if *file == "" {
			continue
		}
		whole, err := filepath.Abs(*file)
		if err != nil {
			continue // stays as given
		}
		*file = whole
		if folder, err := filepath.Abs(dir); err == nil {
			if inside, err := filepath.Rel(folder, whole); err == nil && filepath.IsLocal(inside) {
				*file = inside
			}
		}
	}
	return a
}
