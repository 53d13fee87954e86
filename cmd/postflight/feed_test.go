package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/probes/tickets"
	"github.com/postflight/postflight/probes/tickets/vendortest"
)

func TestFeedTestPrintsFirstAndLast(t *testing.T) {
	at := time.Now().Add(-3 * time.Hour).UTC().Truncate(time.Second)
	desk := vendortest.New(t, "freshdesk", vendortest.Ticket{ID: 1, At: at, Tags: []string{"checkout"}}, vendortest.Ticket{ID: 2, At: at.Add(time.Hour), Tags: []string{"checkout"}})
	t.Setenv("DESK_KEY", vendortest.Key)
	file := written(t, withFeed("- { name: desk, preset: freshdesk, url: \""+desk.URL+"\", bearer_token: \"${DESK_KEY}\", service: $.tags }\n"))
	run := func(args ...string) string {
		var out, problems bytes.Buffer
		root := newRoot(streams{out: &out, err: &problems})
		root.SetArgs(append([]string{"feed", "test", "desk", "--config.file", file}, args...))
		require.NoError(t, root.ExecuteContext(t.Context()), problems.String())
		require.NotContains(t, out.String(), vendortest.Key)
		return out.String()
	}
	text := run("--from", "-24h")
	require.Regexp(t, `feed +desk \(freshdesk\)\nrequest +GET http://[^ ]+/api/v2/tickets\?.*updated_since=`, text)
	require.Regexp(t, `tickets +2\nfirst created +`+at.Format(time.RFC3339)+`\nlast created +`+at.Add(time.Hour).Format(time.RFC3339), text)
	require.Regexp(t, "note +the newest 1m may not be complete", text)

	var trial tickets.Trial
	require.NoError(t, json.Unmarshal([]byte(run("--from", "150m", "--output", "json")), &trial))
	require.Equal(t, 1.0, trial.Count)
	require.Equal(t, at.Add(time.Hour), *trial.First)
	require.Regexp(t, `tickets +0\n`, run("--from", "-30m"))
}
