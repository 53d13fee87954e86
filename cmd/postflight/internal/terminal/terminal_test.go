package terminal

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func none(string) string { return "" }

func TestWhatIsNoTerminalGetsPlainText(t *testing.T) {
	var out bytes.Buffer
	s := New(&out, false, none)
	require.False(t, s.Live())
	require.Equal(t, "bad", s.Paint(Bad, "bad"))
	l := NewLine(s)
	l.Set(func(time.Time) string { return "how it stands" })
	l.Print("a line")
	l.Close()
	require.Equal(t, "a line\n", out.String())
}

func TestColourTakesNoRoomInATable(t *testing.T) {
	var out bytes.Buffer
	s := &Screen{w: &out, live: true, colour: true}
	var table Table
	table.Head("NAME", "STATE", "NOTE")
	table.Row(Cell{Text: "checkout"}, Cell{"✔ KEEP", Good}, Cell{Text: "fine"})
	table.Row(Cell{Text: "a"}, Cell{"✖ REVERT", Bad}, Cell{})
	require.NoError(t, table.Write(s))
	require.Equal(t, "NAME      STATE     NOTE\ncheckout  \x1b[32m✔ KEEP\x1b[0m    fine\na         \x1b[1;31m✖ REVERT\x1b[0m\n", out.String())
	out.Reset()
	table.Row(Cell{Text: "b"}, Cell{"◌", Live}, Cell{Text: "later"})
	require.NoError(t, table.Write(s))
	require.Equal(t, "b         \x1b[36m◌\x1b[0m         later\n", out.String(), "rows that come later fit in below")
}

// Names and reasons come from elsewhere: none moves the cursor, hides a line or
// writes from right to left.
func TestNothingFromElsewhereCommandsATerminal(t *testing.T) {
	require.Equal(t, "a b\ufffd[2Jc\ufffdd", Clean("a\nb\x1b[2Jc\u202ed"))
	require.Equal(t, "1.42.0 (was 1.41.3) · ✔", Clean("1.42.0 (was 1.41.3) · ✔"))
	var out bytes.Buffer
	var table Table
	table.Row(Cell{Text: "x\x1b]0;title\x07y\tz"})
	require.NoError(t, table.Write(New(&out, false, none)))
	require.Equal(t, "x\ufffd]0;title\ufffdy z\n", out.String())
}

func TestCut(t *testing.T) {
	for most, want := range map[int]string{5: "✔ bad", 4: "✔ b…", 1: "…", 0: "", -1: ""} {
		require.Equal(t, want, cut("✔ bad", most))
	}
}

func TestALineIsRenewedEachSecondBelowWhatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		begin := time.Now()
		l := NewLine(&Screen{w: &out, live: true})
		l.screen.wide = 40
		l.Set(func(now time.Time) string { return "since " + now.Sub(begin).String() })
		time.Sleep(1500 * time.Millisecond)
		l.Print("a change")
		l.Set(nil)
		l.Close()
		require.Equal(t, strings.Join([]string{"since 0s", "since 1s", "a change\n", "since 1.5s", ""}, erase), strings.TrimPrefix(out.String(), erase))
	})
}
