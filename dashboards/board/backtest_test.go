package board_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/dashboards/board"
	"github.com/postflight/postflight/verifier"
)

func backtested() board.Backtest {
	from := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	on := func(day int) time.Time { return from.AddDate(0, 0, day).Add(14 * time.Hour) }
	keep := board.BacktestVerdict{Decision: verifier.Keep, Minutes: 60, Text: "no signal got worse than tolerated in 60m"}
	revert := func(minutes float64) board.BacktestVerdict {
		return board.BacktestVerdict{Decision: verifier.Revert, Minutes: minutes, Text: "errors rose from 0.4% to 6.1% (tolerated 0.51%)"}
	}
	return board.Backtest{
		From: from, Until: from.AddDate(0, 0, 30),
		Sets: []board.BacktestSet{
			{Name: "now", File: "postflight.yml", Deploys: map[verifier.Decision]int{verifier.Keep: 4, verifier.Revert: 1}, Placebos: map[verifier.Decision]int{verifier.Keep: 199, verifier.Revert: 1}},
			{Name: "proposed", File: "proposed.yml", Deploys: map[verifier.Decision]int{verifier.Keep: 2, verifier.Revert: 3}, Placebos: map[verifier.Decision]int{verifier.Keep: 200}},
		},
		Lines: []board.BacktestLine{{Title: "known bad: caught", Values: []string{"1/2", "2/2"}}},
		Moments: []board.BacktestMoment{
			{At: on(1), Service: "checkout", Environment: "production", Version: "1.35.0", Label: "good", Verdicts: []board.BacktestVerdict{keep, keep}},
			{At: on(3), Service: "checkout", Environment: "production", Version: "1.36.0", Label: "bad", URL: "https://postflight.example/verifications/vf_1", Verdicts: []board.BacktestVerdict{keep, revert(22)}},
			{At: on(9), Service: "checkout", Environment: "production", Version: "1.37.0", Label: "bad", Verdicts: []board.BacktestVerdict{revert(6.5), revert(5)}},
			{At: on(12), Service: "checkout", Placebo: true, Verdicts: []board.BacktestVerdict{revert(41), keep}},
			{At: on(13), Service: "checkout", Placebo: true, Verdicts: []board.BacktestVerdict{keep, keep}},
			{At: on(15), Service: "checkout", Environment: "production", Version: "1.38.0", Label: "good", Verdicts: []board.BacktestVerdict{keep, revert(12)}},
			{At: on(20), Service: "<script>alert(1)</script>", Environment: "production", Version: "1.39.0", URL: "javascript:alert(1)", Verdicts: []board.BacktestVerdict{keep, {Text: "its window has not ended"}}},
		},
		Notes: []string{`checkout in production, signal "smoke": probes have no past that could be read`},
	}
}

func TestBacktestPage(t *testing.T) {
	var page bytes.Buffer
	require.NoError(t, board.WriteBacktest(&page, backtested()))
	body := page.String()
	golden(t, "backtest", body)
	for _, said := range []string{"Backtest 2026-10-01 to 2026-10-31", "now (postflight.yml)", "false revert of a placebo: 1", "bad deploy, missed: 1", "bad deploy, reverted: 2",
		"revert after 22m00s", "not judged", "its window has not ended", "probes have no past", "&lt;script&gt;alert(1)", `href="https://postflight.example/verifications/vf_1"`} {
		require.Contains(t, body, said)
	}
	for _, never := range []string{"<script", "javascript:", "onclick", "http-equiv=\"refresh\""} {
		require.NotContains(t, body, never)
	}
	require.Contains(t, body, `content="default-src &#39;none&#39;; style-src &#39;sha256-`)
}

func TestAnEmptyBacktestIsAPageToo(t *testing.T) {
	var page bytes.Buffer
	require.NoError(t, board.WriteBacktest(&page, board.Backtest{From: time.Unix(0, 0), Until: time.Unix(86400, 0), Sets: []board.BacktestSet{{Name: "now"}}}))
	require.Contains(t, page.String(), "nothing was reverted or missed")
	require.Contains(t, page.String(), "No deploy is known between these times.")
}
