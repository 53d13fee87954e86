package prom

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
)

// jobs are the scrape jobs that a target may belong to.
var jobs = []string{"shop", "postflight"}

// newScraper returns a scrape manager that keeps native histograms beside the
// classic ones, as a server does that is moving from one to the other.
func newScraper(db *tsdb.DB, o Options, registry prometheus.Registerer) (*scrape.Manager, error) {
	text := fmt.Sprintf(`
global:
  scrape_interval: %[1]s
  scrape_timeout: %[1]s
  scrape_native_histograms: true
  always_scrape_classic_histograms: true
scrape_configs:
`, model.Duration(o.ScrapeInterval))
	for _, job := range jobs {
		text += fmt.Sprintf("  - job_name: %s\n", job)
		if job == "postflight" {
			text += "    scrape_interval: 1s\n    scrape_timeout: 1s\n" // nobody judges it by steps of a second, and it may be busy
		}
	}
	cfg, err := config.Load(text, o.Logger)
	if err != nil {
		return nil, fmt.Errorf("read scrape configuration: %w", err)
	}
	manager, err := scrape.NewManager(&scrape.Options{
		DiscoveryReloadInterval:  model.Duration(100 * time.Millisecond),
		DiscoveryReloadOnStartup: true,
	}, o.Logger, nil, nil, db, registry)
	if err != nil {
		return nil, fmt.Errorf("make scrape manager: %w", err)
	}
	if err := manager.ApplyConfig(cfg); err != nil {
		return nil, fmt.Errorf("apply scrape configuration: %w", err)
	}
	return manager, nil
}

// targetFeed hands the scrape manager its targets in the place of Prometheus's
// service discovery.
type targetFeed struct {
	sets chan map[string][]*targetgroup.Group
	once sync.Once
}

func newTargetFeed() *targetFeed {
	return &targetFeed{sets: make(chan map[string][]*targetgroup.Group, 16)}
}

func (f *targetFeed) run(m *scrape.Manager) {
	// Run ends without an error when the manager stops or the feed closes.
	_ = m.Run(f.sets)
}

func (f *targetFeed) set(targets map[string][]string) {
	groups := map[string][]*targetgroup.Group{}
	for _, job := range slices.Sorted(maps.Keys(targets)) {
		group := &targetgroup.Group{Source: job}
		for _, address := range targets[job] {
			group.Targets = append(group.Targets, model.LabelSet{model.AddressLabel: model.LabelValue(address)})
		}
		groups[job] = []*targetgroup.Group{group}
	}
	f.sets <- groups
}

func (f *targetFeed) close() { f.once.Do(func() { close(f.sets) }) }
