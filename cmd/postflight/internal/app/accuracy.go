package app

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postflight/postflight/dashboards/board"
	"github.com/postflight/postflight/verifier"
)

// accuracyDays is how far back the board and the metrics count what people say
// of verdicts.
const accuracyDays = 90

var (
	ratedDesc     = prometheus.NewDesc("postflight_accuracy_verdicts", "Verdicts of the last 90 days by what people say of them: right, wrong, disputed.", []string{"decision", "feedback"}, nil)
	precisionDesc = prometheus.NewDesc("postflight_accuracy_precision_ratio", "Share of the reverts of the last 90 days that people spoke of which were right; NaN while they spoke of none.", nil, nil)
	recallDesc    = prometheus.NewDesc("postflight_accuracy_recall_ratio", "Share of the bad deploys of the last 90 days that people told of which were reverted; NaN while they told of none.", nil, nil)
	toRevertDesc  = prometheus.NewDesc("postflight_accuracy_time_to_revert_seconds", "Median from a deploy's finish to its verdict, of the reverts of the last 90 days that people call right; NaN without any.", nil, nil)
)

func (a *App) rated(ctx context.Context) (verifier.Accuracy, error) {
	return a.store.Accuracy(ctx, time.Now().AddDate(0, 0, -accuracyDays))
}

// accuracy is how often people call postflight's verdicts right, for the board.
// A verdict that some call wrong is wrong there, whatever others say.
func (a *App) accuracy(ctx context.Context) (board.Accuracy, error) {
	said, err := a.rated(ctx)
	out := board.Accuracy{Since: said.Since}
	for decision, r := range said.Verdicts {
		if decision == verifier.Inconclusive { // neither right nor wrong about the deploy
			continue
		}
		out.Right += r.Right
		out.Wrong += r.Wrong + r.Disputed
	}
	out.Precision, out.Reverts = said.Precision()
	out.Recall, out.Bad = said.Recall()
	out.MinutesToRevert, _ = said.MinutesToRevert()
	return out, err
}

// accuracyCollector tells at each scrape what people say of verdicts.
type accuracyCollector struct {
	rated func(ctx context.Context) (verifier.Accuracy, error)
}

// Describe names the metrics.
func (c accuracyCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ratedDesc, precisionDesc, recallDesc, toRevertDesc} {
		out <- d
	}
}

// Collect reads the store; when that fails the scrape says so.
func (c accuracyCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	said, err := c.rated(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(ratedDesc, err)
		return
	}
	gauge := func(d *prometheus.Desc, x float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, x, labels...)
	}
	for _, d := range []verifier.Decision{verifier.Keep, verifier.Revert, verifier.Inconclusive} {
		r := said.Verdicts[d]
		gauge(ratedDesc, float64(r.Right), string(d), "right")
		gauge(ratedDesc, float64(r.Wrong), string(d), "wrong")
		gauge(ratedDesc, float64(r.Disputed), string(d), "disputed")
	}
	// NaN is not known, and the series is there to be asked for.
	precision, recall, toRevert := math.NaN(), math.NaN(), math.NaN()
	if share, of := said.Precision(); of > 0 {
		precision = share
	}
	if share, of := said.Recall(); of > 0 {
		recall = share
	}
	if minutes, known := said.MinutesToRevert(); known {
		toRevert = minutes * 60
	}
	gauge(precisionDesc, precision)
	gauge(recallDesc, recall)
	gauge(toRevertDesc, toRevert)
}
