package world

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"github.com/prometheus/common/model"
)

// Environment is where everything is deployed to.
const Environment = "production"

// The secrets of the demo world. They guard nothing but loopback ports.
const (
	pipelineToken = "demo-pipeline-token"
	hookSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // #nosec G101 -- of the demo only
	// GitHubSecret signs the webhooks of the source github.
	GitHubSecret = "demo-github-secret" // #nosec G101 -- of the demo only
	// SignedSecret signs the notifications of the source signed, as Standard
	// Webhooks.
	SignedSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD" // #nosec G101 -- of the demo only
)

// Secrets are all secrets of the demo's configuration; nothing may show them.
func Secrets() []string { return []string{pipelineToken, hookSecret, GitHubSecret, SignedSecret} }

// Times of the policy. Steps of a second keep the demo short; everything else
// is as it would be in production.
const (
	interval = time.Second
	step     = time.Second
	warmup   = 3 * time.Second
	soak     = 8 * time.Second
	// History is the past that the policy reads.
	History = 45 * time.Minute
)

// The braces of the file's own templates belong to postflight.
//
//go:embed postflight.yml.tmpl
var configText string

var configTemplate = template.Must(template.New("postflight.yml").Delims("<<", ">>").Parse(configText))

// settings fill the configuration in.
type settings struct {
	Dir, Prometheus, Desk, Pipeline, Environment string
	Window, Interval, Step, Warmup, Soak         string
	History                                      string
	Brake                                        int
	Independent                                  bool
	Services                                     []serviceSettings
}

type serviceSettings struct{ Name, URL string }

// writeConfig writes postflight.yml and the files of its secrets, and returns
// the path of the first.
func writeConfig(dir string, window time.Duration, s settings) (string, error) {
	s.Dir, s.Environment = dir, Environment
	s.Window = model.Duration(window).String()
	for field, d := range map[*string]time.Duration{
		&s.Interval: interval, &s.Step: step, &s.Warmup: warmup, &s.Soak: soak, &s.History: History,
	} {
		*field = model.Duration(d).String()
	}
	var text bytes.Buffer
	if err := configTemplate.Execute(&text, s); err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048) // of the GitHub App that answers protection rules
	if err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	files := map[string][]byte{
		"postflight.yml":     text.Bytes(),
		"secrets/pipeline":   []byte(pipelineToken + "\n"),
		"secrets/hooks":      []byte(hookSecret + "\n"),
		"secrets/github":     []byte(GitHubSecret + "\n"),
		"secrets/github-app": pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		"secrets/signed":     []byte(SignedSecret + "\n"),
	}
	if err := os.MkdirAll(filepath.Join(dir, "secrets"), 0o700); err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return "", fmt.Errorf("write configuration: %w", err)
		}
	}
	return filepath.Join(dir, "postflight.yml"), nil
}
