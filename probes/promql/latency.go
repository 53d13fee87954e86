package promql

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"github.com/postflight/postflight/verifier"
)

// enough is how many events a baseline must hold beyond a quantile, and in
// all, for the quantile to mean something.
const (
	enoughBeyond = 1
	enough       = 20
)

// planLatency chooses the threshold from the baseline and holds the control
// group to the same one.
func (s *server) planLatency(ctx context.Context, l verifier.LatencySource, t verifier.Target, step time.Duration, since, until time.Time) (verifier.Plan, error) {
	h, err := parseHistogram(l.Histogram, t)
	if err != nil {
		return verifier.Plan{}, err
	}
	limit, err := parseThreshold(l.SlowerThan)
	if err != nil {
		return verifier.Plan{}, err
	}
	p, err := s.planHistogram(ctx, h, limit, step, since, until)
	if own, _ := sidesOf(p); err != nil || l.Control == "" || own.empty() {
		return p, err
	}
	control, err := parseHistogram(l.Control, t)
	if err != nil {
		return verifier.Plan{}, ofControl(err)
	}
	return s.planPeers(ctx, p, control, step, since, until)
}

// planHistogram finds out whether the histogram is classic or native and
// chooses the threshold from the baseline.
func (s *server) planHistogram(ctx context.Context, h histogram, limit threshold, step time.Duration, since, until time.Time) (verifier.Plan, error) {
	base, err := s.baseline(ctx, h, since, until)
	if err != nil {
		return verifier.Plan{}, err
	}
	switch {
	case base.prefersNative():
		return s.planNative(ctx, h, limit, step, base)
	case count(base.buckets) > 0:
		return planClassic(h, limit, step, base), nil
	case limit.quantile > 0:
		return verifier.Plan{Note: fmt.Sprintf("no requests in the %s before the deploy: there is no %s to compare with", base.span, limit.text)}, nil
	}
	return planUnseen(h, limit, step), nil
}

// baseline is what a histogram counted before the deploy.
type baseline struct {
	span    model.Duration
	until   time.Time
	buckets []bucket // of the classic form; none when there is none
	native  float64  // events of the native form
}

// prefersNative reports whether to read the native form. Where both are
// stored, it has every boundary; unless it is younger than the baseline.
func (b baseline) prefersNative() bool {
	return b.native > 0 && b.native >= 0.9*count(b.buckets)
}

// baseline reads (since, until], or only its last day or hour when the server
// finds more too heavy.
func (s *server) baseline(ctx context.Context, h histogram, since, until time.Time) (baseline, error) {
	whole := until.Sub(since).Truncate(time.Second)
	if whole <= 0 {
		return baseline{}, verifier.Errorf(verifier.Invalid, "the baseline from %s to %s is empty", since.UTC().Format(time.RFC3339), until.UTC().Format(time.RFC3339))
	}
	var b baseline
	var err error
	for _, span := range []time.Duration{whole, 24 * time.Hour, time.Hour} {
		if span > whole {
			continue
		}
		b, err = s.baselineOver(ctx, h, span, until)
		if !errors.As(err, new(tooHeavyError)) || ctx.Err() != nil {
			return b, err
		}
	}
	return b, err
}

func (s *server) baselineOver(ctx context.Context, h histogram, span time.Duration, until time.Time) (baseline, error) {
	b := baseline{span: model.Duration(span), until: until}
	byLe, err := s.vector(ctx, "sum by (le) ("+increase(h.buckets(""), span)+")", until)
	if err != nil {
		return b, err
	}
	if b.buckets, err = readBuckets(byLe); err != nil {
		return b, s.unavailable(err.Error(), nil)
	}
	counted, err := s.one(ctx, "histogram_count("+sumIncrease(h.native(), span)+")", until)
	if err != nil {
		return b, err
	}
	switch counted.outcome {
	case verifier.Failed:
		return b, s.unavailable("the histogram's count: "+counted.reason, nil)
	case verifier.Measured:
		b.native = counted.value
	}
	return b, nil
}

// one evaluates an expression that yields at most one number.
func (s *server) one(ctx context.Context, expr string, at time.Time) (point, error) {
	vector, err := s.vector(ctx, expr, at)
	switch {
	case err != nil:
		return point{}, err
	case len(vector) == 0:
		return point{outcome: verifier.NoData, empty: true, reason: "no samples"}, nil
	case len(vector) > 1 || vector[0] == nil || vector[0].Histogram != nil:
		return point{}, s.unavailable("the reply is not the one number that was asked for", nil)
	}
	return number(float64(vector[0].Value)), nil
}

// planClassic takes a real boundary, for inside a bucket nothing is known. The
// total counts only series that have this boundary: pods of a version with
// other buckets would otherwise look slow to the last request.
func planClassic(h histogram, limit threshold, step time.Duration, base baseline) verifier.Plan {
	all := count(base.buckets)
	if reason := tooFew(limit, all, base); reason != "" {
		return verifier.Plan{Note: reason}
	}
	var b bucket
	var ok bool
	if limit.quantile > 0 {
		b, ok = nearestQuantile(base.buckets, limit)
	} else {
		b, ok = nearestTime(base.buckets, limit.seconds/h.unit().Seconds())
	}
	if !ok {
		return verifier.Plan{Note: fmt.Sprintf("no bucket boundary of %s is near %s: give the histogram finer buckets", h.name, limit.text)}
	}
	p := classicSide(h, leMatcher(b.bound, b.texts), step).plan()
	p.Threshold = b.bound * h.unit().Seconds()
	p.Note = fmt.Sprintf("slow is above %s, the bucket boundary for %s; %s of %.0f requests in the %s before were slower",
		seconds(p.Threshold), limit.text, share100(slower(b, all)), all, base.span)
	return p
}

func classicSide(h histogram, le string, step time.Duration) side {
	upTo := increase(h.buckets(le), step)
	total := "sum(" + increase(h.buckets(`le="+Inf"`), step) + " and ignoring (le) " + upTo + ")"
	return side{bad: total + " - sum(" + upTo + ")", total: total}
}

// planNative takes the threshold as it is: a native histogram tells the share
// above any.
func (s *server) planNative(ctx context.Context, h histogram, limit threshold, step time.Duration, base baseline) (verifier.Plan, error) {
	if reason := tooFew(limit, base.native, base); reason != "" {
		return verifier.Plan{Note: reason}, nil
	}
	bound := limit.seconds / h.unit().Seconds()
	past := sumIncrease(h.native(), time.Duration(base.span))
	if limit.quantile > 0 {
		q, err := s.one(ctx, fmt.Sprintf("histogram_quantile(%s, %s)", text(limit.quantile), past), base.until)
		if err != nil {
			return verifier.Plan{}, err
		}
		if q.outcome != verifier.Measured || q.value <= 0 {
			return verifier.Plan{Note: fmt.Sprintf("the baseline has no usable %s", limit.text)}, nil
		}
		bound = roundUp(q.value)
	}
	above, err := s.one(ctx, fmt.Sprintf("histogram_fraction(%s, +Inf, %s)", text(bound), past), base.until)
	if err != nil {
		return verifier.Plan{}, err
	}
	p := nativeSide(h, bound, step).plan()
	p.Threshold = bound * h.unit().Seconds()
	p.Note = fmt.Sprintf("slow is above %s, %s of a native histogram; %s of %.0f requests in the %s before were slower",
		seconds(p.Threshold), limit.text, share100(above.value), base.native, base.span)
	return p, nil
}

func nativeSide(h histogram, bound float64, step time.Duration) side {
	now := sumIncrease(h.native(), step)
	total := "histogram_count(" + now + ")"
	return side{bad: fmt.Sprintf("histogram_fraction(%s, +Inf, %s) * %s", text(bound), now, total), total: total}
}

// planUnseen is for a time and a histogram that nobody has seen yet.
func planUnseen(h histogram, limit threshold, step time.Duration) verifier.Plan {
	p := unseenSide(h, limit.seconds/h.unit().Seconds(), step).plan()
	p.Threshold = limit.seconds
	p.Note = fmt.Sprintf("slow is above %s; no requests before the deploy: a classic histogram is measured only if it has a bucket boundary just there", seconds(limit.seconds))
	return p
}

// unseenSide measures whichever form appears.
func unseenSide(h histogram, bound float64, step time.Duration) side {
	native, classic := nativeSide(h, bound, step), classicSide(h, leMatcher(bound, nil), step)
	return side{bad: "(" + native.bad + ") or (" + classic.bad + ")", total: native.total + " or " + classic.total}
}

func tooFew(limit threshold, all float64, base baseline) string {
	if limit.quantile == 0 || (all >= enough && all*limit.tail() >= enoughBeyond) {
		return ""
	}
	return fmt.Sprintf("only %.0f requests in the %s before the deploy: too few to tell its %s", all, base.span, limit.text)
}

// roundUp keeps three digits, so that people can read the threshold.
func roundUp(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(v))-2)
	up, err := strconv.ParseFloat(strconv.FormatFloat(math.Ceil(v/unit)*unit, 'g', 3, 64), 64)
	if err != nil {
		return v
	}
	return up
}

// text writes a number as PromQL reads it.
func text(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func seconds(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) + " s" }

func share100(v float64) string { return strconv.FormatFloat(100*v, 'g', 3, 64) + "%" }
