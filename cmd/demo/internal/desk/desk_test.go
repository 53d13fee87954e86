package desk_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/cmd/demo/internal/desk"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode, string(body)
}

func TestDeskCountsWhatWasOpenedByNow(t *testing.T) {
	d, err := desk.Open()
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	now := time.Now()
	d.Usual("shop", 60, now.Add(-time.Hour), now.Add(time.Hour))
	d.Flood("flooded", 30, 0)

	require.InDelta(t, 60, d.Count("shop", now.Add(-time.Hour), now.Add(time.Hour), now), 40)
	require.Zero(t, d.Count("shop", now.Add(time.Minute), now.Add(time.Hour), now), "tickets to come are not there yet")
	require.Zero(t, d.Count("flooded", now.Add(-time.Hour), now, now))

	range1h := fmt.Sprintf("%s/tickets?from=%d&to=%d&service=", d.URL(), now.Unix()-3600, now.Unix()+60)
	status, body := get(t, range1h+"flooded")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"count": 30}`, body)
	status, body = get(t, range1h+"nobody")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"count": 0}`, body)
	status, body = get(t, d.URL()+"/tickets?from=yesterday&to=1")
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, body, `read time "yesterday"`)
}
