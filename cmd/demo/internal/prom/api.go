package prom

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
	v1 "github.com/prometheus/prometheus/web/api/v1"
)

// Prometheus's own defaults.
const (
	lookback     = 5 * time.Minute
	queryTimeout = 2 * time.Minute
	maxSamples   = 50_000_000
)

// newHandler serves Prometheus's API v1 and its two health pages.
func newHandler(db *tsdb.DB, scraper *scrape.Manager, registry *prometheus.Registry, logger *slog.Logger) http.Handler {
	queryParser := parser.NewParser(parser.Options{})
	engine := promql.NewEngine(promql.EngineOpts{
		Logger: logger, Reg: registry, MaxSamples: maxSamples, Timeout: queryTimeout, LookbackDelta: lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Second.Milliseconds() },
		EnableAtModifier:         true, EnableNegativeOffset: true, Parser: queryParser,
	})
	api := v1.NewAPI(
		engine, db, nil, nil, db,
		func(context.Context) v1.ScrapePoolsRetriever { return scraper },
		func(context.Context) v1.TargetRetriever { return scraper },
		func(context.Context) v1.AlertmanagerRetriever { return noAlertmanagers{} },
		func() config.Config { return config.DefaultConfig },
		map[string]string{}, v1.GlobalURLOptions{},
		func(f http.HandlerFunc) http.HandlerFunc { return f },
		admin{db}, "", false, false, 0, logger,
		func(context.Context) v1.RulesRetriever { return noRules{} },
		0, 0, 0, false, regexp.MustCompile("^$"),
		func() (v1.RuntimeInfo, error) { return v1.RuntimeInfo{}, errors.New("not known in the demo") },
		&v1.PrometheusVersion{Version: "3.15.0", Branch: "demo", GoVersion: runtime.Version()},
		nil, nil, registry, registry, nil,
		false, nil, false, false, false, false,
		lookback, false, false, nil, nil, v1.OpenAPIOptions{}, queryParser,
	)
	mux := http.NewServeMux()
	router := route.New().WithPrefix("/api/v1")
	api.Register(router)
	mux.Handle("/api/v1/", router)
	mux.HandleFunc("GET /-/healthy", up)
	mux.HandleFunc("GET /-/ready", up)
	return mux
}

func up(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

type noAlertmanagers struct{}

func (noAlertmanagers) Alertmanagers() []*url.URL        { return nil }
func (noAlertmanagers) DroppedAlertmanagers() []*url.URL { return nil }

type noRules struct{}

func (noRules) RuleGroups() []*rules.Group           { return nil }
func (noRules) AlertingRules() []*rules.AlertingRule { return nil }
