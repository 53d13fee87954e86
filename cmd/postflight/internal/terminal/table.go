package terminal

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Cell is a text of a table, painted as a whole.
type Cell struct {
	Text string
	Tone Tone
}

// gap is between two columns.
const gap = "  "

// Table aligns cells by what is seen of them, for colour takes no room. The
// last column ends where the terminal's line does.
type Table struct {
	// Whole lets the last column go beyond the line's end.
	Whole  bool
	widths []int
	rows   [][]Cell
}

// Row adds a row. Texts are cleaned.
func (t *Table) Row(cells ...Cell) {
	for i := range cells {
		cells[i].Text = Clean(cells[i].Text)
		if i >= len(t.widths) {
			t.widths = append(t.widths, 0)
		}
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cells[i].Text))
	}
	t.rows = append(t.rows, cells)
}

// Head adds a row of titles.
func (t *Table) Head(titles ...string) {
	cells := make([]Cell, len(titles))
	for i, title := range titles {
		cells[i].Text = title
	}
	t.Row(cells...)
}

// Write writes the rows that were added since it was last called. Columns keep
// the widths that they had, so that rows that come later fit in below.
func (t *Table) Write(s *Screen) error {
	var b strings.Builder
	for _, cells := range t.rows {
		b.WriteString(t.line(s, cells))
		b.WriteByte('\n')
	}
	t.rows = nil
	if _, err := s.Write([]byte(b.String())); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

func (t *Table) line(s *Screen, cells []Cell) string {
	last := len(cells) - 1
	for last > 0 && cells[last].Text == "" {
		last--
	}
	var b strings.Builder
	used := 0
	for i, c := range cells[:last+1] {
		if i == last {
			if room := s.width() - used; !t.Whole && s.width() > 0 && i == len(t.widths)-1 {
				c.Text = cut(c.Text, max(room, 1))
			}
			b.WriteString(s.Paint(c.Tone, c.Text))
			break
		}
		b.WriteString(s.Paint(c.Tone, c.Text))
		b.WriteString(strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(c.Text)) + gap)
		used += t.widths[i] + len(gap)
	}
	return b.String()
}
