package main

import (
	"bytes"
	"os"
	"slices"

	"github.com/postflight/postflight/dashboards/board"
	"github.com/postflight/postflight/verifier"
	"github.com/postflight/postflight/verifier/backtest"
)

// writeBacktestPage writes the report with charts.
func writeBacktestPage(file string, r backtestReport) error {
	var page bytes.Buffer
	if err := board.WriteBacktest(&page, pageOf(r)); err != nil {
		return err
	}
	if err := os.WriteFile(file, page.Bytes(), 0o600); err != nil {
		return usagef("--html: %v", err)
	}
	return nil
}

func pageOf(r backtestReport) board.Backtest {
	b := board.Backtest{From: r.From, Until: r.Until, Notes: r.Notes}
	for _, t := range r.Tallies {
		b.Sets = append(b.Sets, board.BacktestSet{Name: t.Set, File: r.Files[t.Set], Deploys: byDecision(t.Deploys), Placebos: byDecision(t.Placebo)})
	}
	for _, line := range summaryLines {
		row := board.BacktestLine{Title: line.title}
		for _, t := range r.Tallies {
			row.Values = append(row.Values, line.value(t))
		}
		b.Lines = append(b.Lines, row)
	}
	for _, row := range slices.Concat(r.Deploys, r.Placebos) {
		m := board.BacktestMoment{At: row.DeployedAt, Service: row.Service, Environment: row.Environment, Version: row.Version,
			Placebo: row.Origin == "", Label: string(row.Label), URL: row.URL}
		for _, t := range r.Tallies {
			o := row.Verdicts[t.Set]
			v := board.BacktestVerdict{Decision: o.Decision, Minutes: o.Minutes, Text: o.Summary}
			if o.Skipped != "" {
				v.Text = o.Skipped
			}
			m.Verdicts = append(m.Verdicts, v)
		}
		b.Moments = append(b.Moments, m)
	}
	slices.SortStableFunc(b.Moments, func(a, c board.BacktestMoment) int { return a.At.Compare(c.At) })
	return b
}

func byDecision(c backtest.Counts) map[verifier.Decision]int {
	return map[verifier.Decision]int{verifier.Keep: c.Keep, verifier.Revert: c.Revert, verifier.Inconclusive: c.Inconclusive}
}
