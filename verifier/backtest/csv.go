package backtest

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// mostLines bounds what is read of a CSV.
const mostLines = 100_000

var needed = []string{"service", "environment", "version", "deployed_at"}

// ReadCSV reads deploys: the columns service, environment, version and
// deployed_at (RFC 3339, or Unix seconds) in any order, and if there is one,
// label (good, bad or empty); others are left alone. The error names every line
// that is wrong, as NAME:LINE: column: what (got "x").
func ReadCSV(r io.Reader, name string) ([]Deploy, error) {
	in := csv.NewReader(r)
	in.TrimLeadingSpace, in.ReuseRecord, in.FieldsPerRecord = true, true, 0
	header, err := in.Read()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: is empty: needs a first line %s[,label]", name, strings.Join(needed, ","))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	column := map[string]int{}
	for i, title := range header {
		column[strings.ToLower(strings.TrimSpace(strings.TrimPrefix(title, "\ufeff")))] = i
	}
	for _, title := range needed {
		if _, ok := column[title]; !ok {
			return nil, fmt.Errorf("%s:1: no column %s: the first line must name %s, and may name label", name, title, strings.Join(needed, ", "))
		}
	}
	var out []Deploy
	var errs []error
	for len(out) <= mostLines {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return out, errors.Join(errs...)
		}
		if err != nil {
			return nil, errors.Join(append(errs, fmt.Errorf("%s: %w", name, err))...)
		}
		line, _ := in.FieldPos(0)
		d, err := fields{record, column}.deploy()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", name, line, err))
			continue
		}
		out = append(out, d)
	}
	return nil, fmt.Errorf("%s: more than %d deploys: split the file", name, mostLines)
}

// fields is one line by column.
type fields struct {
	record []string
	column map[string]int
}

func (f fields) get(title string) string {
	i, ok := f.column[title]
	if !ok {
		return ""
	}
	return strings.TrimSpace(f.record[i])
}

func (f fields) deploy() (Deploy, error) {
	for _, title := range needed {
		if f.get(title) == "" {
			return Deploy{}, fmt.Errorf("%s: is empty", title)
		}
	}
	at, err := Moment(f.get("deployed_at"))
	if err != nil {
		return Deploy{}, fmt.Errorf("deployed_at: %w", err)
	}
	label := Label(strings.ToLower(f.get("label")))
	if !slices.Contains([]Label{"", Good, Bad}, label) {
		return Deploy{}, fmt.Errorf("label: good, bad or nothing (got %q)", f.get("label"))
	}
	return Deploy{Origin: FromFile, Label: label, Deployment: deployment(f.get("service"), f.get("environment"), f.get("version"), at)}, nil
}

// Moment reads RFC 3339, or Unix seconds.
func Moment(text string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC(), nil
	}
	// Beyond the year 9999 it is no number of seconds, but of something smaller.
	if s, err := strconv.ParseFloat(text, 64); err == nil && s > 0 && s < 253402300800 {
		return time.UnixMilli(int64(s * 1000)).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("a time such as 2026-11-23T02:41:07Z, or Unix seconds (got %q)", text)
}

// deployment is a deploy that happened at one moment, as far as is known.
func deployment(service, environment, version string, at time.Time) verifier.Deployment {
	return verifier.Deployment{ID: verifier.NewID(verifier.DeploymentPrefix), Service: service, Environment: environment, Version: version,
		Status: verifier.DeployFinished, StartedAt: at, FinishedAt: at, ReceivedAt: at}
}
