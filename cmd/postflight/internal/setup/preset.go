// Package setup proposes a configuration out of what a Prometheus has.
package setup

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
)

//go:embed presets.yml
var presetFile []byte

// Preset is what one kind of server or library exports about requests.
type Preset struct {
	// Name is told where it is used; Title says what exports this, Reference is
	// where its metrics are described.
	Name      string `yaml:"name"`
	Title     string `yaml:"title"`
	Reference string `yaml:"reference"`
	// Metric is a selector whose series show that it is in use.
	Metric string `yaml:"metric"`
	// Service are the labels that may name the service, the best first, Status
	// those that may hold the status of an answer.
	Service []string `yaml:"service"`
	Status  []string `yaml:"status"`
	// Bad and Total are counters for a ratio signal, "" without one.
	Bad   string `yaml:"bad"`
	Total string `yaml:"total"`
	// Histograms may tell the latency: the first that there are series of.
	Histograms []string `yaml:"histograms"`
	// Values are signals of what is no counter.
	Values []PresetValue `yaml:"values"`
	// Slow is set where samples come once a minute or later.
	Slow bool `yaml:"slow"`
}

// PresetValue is a value signal of a preset.
type PresetValue struct {
	Name  string `yaml:"name"`
	Worse string `yaml:"worse"`
	// Needs is the metric without whose series the query says nothing.
	Needs string `yaml:"needs"`
	Query string `yaml:"query"`
}

// Presets returns all presets in the order of preference.
var Presets = sync.OnceValues(func() ([]Preset, error) {
	var out []Preset
	if err := yaml.UnmarshalWithOptions(presetFile, &out, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("read presets: %w", err)
	}
	return out, nil
})

// chosen is how a preset's labels are called on one server.
type chosen struct {
	service     string // the label
	status      string // the label, "" where the preset has none
	environment string // the label, "" where no series has one
}

// filled puts the matchers of the configuration into a selector or query.
func (c chosen) filled(text string) string {
	return c.with(text, `{{ .Service }}`, `{{ .Environment }}`)
}

// everywhere matches the series of all services.
func (c chosen) everywhere(text string) string {
	return strings.NewReplacer("$service", c.service+`!=""`, "$status", c.status).Replace(text)
}

func (c chosen) with(text, service, environment string) string {
	matcher := c.service + `="` + service + `"`
	if c.environment != "" {
		matcher += `,` + c.environment + `="` + environment + `"`
	}
	return strings.NewReplacer("$service", matcher, "$status", c.status).Replace(text)
}
