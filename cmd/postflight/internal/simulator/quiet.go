package simulator

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// looks is how often Pass looks whether anything is still under way.
const looks = 10 * time.Minute

// Pass lets time go by. While anything is under way (a verification, a
// rollback, a message that did not arrive) the daemon lives through it; once
// nothing is, it is stopped for the rest and started again at the end, for
// River's own loops take a quiet day 17 s of real time. Nothing can happen
// meanwhile that somebody does not begin: use time.Sleep where the world
// itself does.
func (w *World) Pass(d time.Duration) {
	w.t.Helper()
	end := time.Now().Add(d)
	for time.Until(end) > 0 {
		if w.Quiet() {
			w.Stop()
			time.Sleep(time.Until(end))
			w.Start()
			return
		}
		time.Sleep(min(looks, time.Until(end)))
	}
}

// Quiet reports whether nothing is under way.
func (w *World) Quiet() bool {
	w.t.Helper()
	status, metrics := w.ask(http.MethodGet, "/metrics", asPerson, nil)
	require.Equal(w.t, http.StatusOK, status)
	for line := range bytes.Lines(metrics) {
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		switch name {
		case `postflight_verifications{state="pending"}`, `postflight_verifications{state="observing"}`, "postflight_delivery_oldest_pending_seconds":
			if value != "0" {
				return false
			}
		}
	}
	for _, v := range w.All() {
		if v.Action.Open() {
			return false
		}
	}
	return true
}
