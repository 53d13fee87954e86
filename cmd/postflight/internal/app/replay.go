package app

import (
	"context"
	"time"

	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/probes/promql"
	"github.com/postflight/postflight/verifier/safety"
)

// Asked counts the queries of a Replayer.
type Asked func(server string, took time.Duration, ok bool)

// Replayer is what a configuration has to judge the past by: its servers, asked
// with their authentication and by its egress rule as the daemon asks them, and
// its limits.
type Replayer struct {
	Prometheus *promql.Measurer
	Limits     safety.Limits
	cur        *current
}

// NewReplayer builds a replayer of a configuration. slot is asked for a place
// before each query, and bounds their rate; observe, which may be nil, is told
// of each. The caller closes it.
func NewReplayer(c *configs.Config, slot func(ctx context.Context, host string) (release func(), err error), observe Asked) (*Replayer, error) {
	r := &Replayer{Limits: limitsOf(c), cur: &current{config: c}}
	var err error
	r.Prometheus, err = r.cur.askPrometheus(egress{allow: c.Egress.Allow}, func(configs.Prometheus) queue { return slot }, outboundObserver(observe), nil)
	return r, err
}

// Close gives its connections back.
func (r *Replayer) Close() { r.cur.close() }
