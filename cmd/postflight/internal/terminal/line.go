package terminal

import (
	"fmt"
	"sync"
	"time"
)

// renewEvery is how often the line is written anew, for the time in it.
const renewEvery = time.Second

// erase goes to the begin of the line and clears it.
const erase = "\r\x1b[2K"

// Line is one line that is renewed below lines that stay. On a stream that is
// no terminal it is not there, and what stays is all.
type Line struct {
	screen *Screen
	mu     sync.Mutex
	text   func(now time.Time) string // nil: nothing to show yet
	shown  bool
	end    chan struct{}
	ended  sync.WaitGroup
}

// NewLine begins a line, which Close must end.
func NewLine(s *Screen) *Line {
	l := &Line{screen: s, end: make(chan struct{})}
	if s.Live() {
		l.ended.Go(l.renew)
	}
	return l
}

func (l *Line) renew() {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.end:
			return
		case <-tick.C:
			l.mu.Lock()
			l.show()
			l.mu.Unlock()
		}
	}
}

// Set says what the line shows from now on; nil takes it away.
func (l *Line) Set(text func(now time.Time) string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text = text; text == nil {
		l.hide()
	}
	l.show()
}

// Print writes a line that stays.
func (l *Line) Print(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hide()
	fmt.Fprintln(l.screen, line)
	l.show()
}

// Close takes the line away, so that what stays is as if it had never been.
func (l *Line) Close() {
	close(l.end)
	l.ended.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hide()
}

func (l *Line) show() {
	if !l.screen.Live() || l.text == nil {
		return
	}
	// One character less than the line has: some terminals go on to the next
	// line once the last one is written.
	fmt.Fprint(l.screen, erase+l.screen.Paint(Quiet, cut(Clean(l.text(time.Now())), l.screen.width()-1)))
	l.shown = true
}

func (l *Line) hide() {
	if l.shown {
		fmt.Fprint(l.screen, erase)
		l.shown = false
	}
}
