// Package recorded reads series and changes that were written down: a CSV file
// a series, and an index of changes to judge. It is what `postflight judge` and
// the decision benchmark read.
package recorded

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier/judge"
)

// Change is one line of an index: a change to judge.
type Change struct {
	Case string    // names the series file
	At   time.Time // when the change was made
	// Erroneous says whether the change went wrong; Labelled whether the
	// index says so.
	Erroneous, Labelled bool
}

// ReadIndex reads the changes of a CSV with the columns case, changed_at (Unix
// seconds) and, where it is known, erroneous (0 or 1). Other columns are
// ignored. name stands for the file in errors, which also tell the line.
func ReadIndex(r io.Reader, name string) ([]Change, error) {
	t, err := newTable(r, name, "case", "changed_at")
	if err != nil {
		return nil, err
	}
	labels := t.column("erroneous")
	var out []Change
	for {
		row, err := t.next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		c := Change{Case: row[t.columns["case"]]}
		if c.Case == "" || !fs.ValidPath(c.Case) || c.Case == "." {
			return nil, t.errorf("case", c.Case, "want the name of a series in the folder")
		}
		if c.At, err = t.time(row, "changed_at"); err != nil {
			return nil, err
		}
		if labels >= 0 {
			c.Erroneous, err = strconv.ParseBool(row[labels])
			if c.Labelled = err == nil; !c.Labelled {
				return nil, t.errorf("erroneous", row[labels], "want 0 or 1")
			}
		}
		out = append(out, c)
	}
}

// ReadSeries reads the points of a CSV with the columns timestamp (Unix
// seconds) and value. An empty value and NaN are points that could not be
// measured. name stands for the file in errors, which also tell the line.
func ReadSeries(r io.Reader, name string) ([]judge.Point, error) {
	t, err := newTable(r, name, "timestamp", "value")
	if err != nil {
		return nil, err
	}
	var out []judge.Point
	for {
		row, err := t.next()
		if errors.Is(err, io.EOF) {
			if len(out) == 0 {
				return nil, fmt.Errorf("%s: holds no points", name)
			}
			return folded(out), nil
		}
		if err != nil {
			return nil, err
		}
		p := judge.Point{Value: math.NaN()}
		if p.At, err = t.time(row, "timestamp"); err != nil {
			return nil, err
		}
		if text := strings.TrimSpace(row[t.columns["value"]]); text != "" {
			if p.Value, err = strconv.ParseFloat(text, 64); err != nil {
				return nil, t.errorf("value", text, "want a number")
			}
		}
		out = append(out, p)
	}
}

// folded averages points of one moment, which a series with one line for each
// host has: taken one by one they would look like a change at every step.
func folded(points []judge.Point) []judge.Point {
	slices.SortStableFunc(points, func(a, b judge.Point) int { return a.At.Compare(b.At) })
	out := points[:0]
	n := 0.0 // measured points in the last of out
	for _, p := range points {
		switch {
		case len(out) == 0 || !out[len(out)-1].At.Equal(p.At):
			out, n = append(out, p), 1
			if math.IsNaN(p.Value) {
				n = 0
			}
		case math.IsNaN(p.Value):
		case n == 0:
			out[len(out)-1], n = p, 1
		default:
			n++
			last := &out[len(out)-1]
			last.Value += (p.Value - last.Value) / n
		}
	}
	return out
}

// OpenSeries reads a series file of fsys, unpacking it when its name ends in
// .gz.
func OpenSeries(fsys fs.FS, name string) ([]judge.Point, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open series: %w", err)
	}
	defer f.Close() //nolint:errcheck // nothing can be done about it after the read
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	if !strings.HasSuffix(name, ".gz") {
		return ReadSeries(f, name)
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: unpack: %w", name, err)
	}
	unpacked := &io.LimitedReader{R: z, N: maxUnpacked}
	points, err := ReadSeries(unpacked, name)
	if unpacked.N <= 0 {
		return nil, fmt.Errorf("%s: unpacks to more than %d MiB", name, maxUnpacked>>20)
	}
	return points, err
}

// maxUnpacked is far more than a year of one series at one second.
const maxUnpacked = 1 << 30

// OpenCase reads the series of a case: CASE.csv.gz of fsys, or CASE.csv.
func OpenCase(fsys fs.FS, name string) ([]judge.Point, error) {
	points, err := OpenSeries(fsys, name+".csv.gz")
	if !errors.Is(err, fs.ErrNotExist) {
		return points, err
	}
	points, err = OpenSeries(fsys, name+".csv")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s.csv.gz: there is no such file, and no %s.csv", name, name)
	}
	return points, err
}

// table is a CSV with a header.
type table struct {
	r       *csv.Reader
	name    string
	columns map[string]int
	header  []string
}

func newTable(r io.Reader, name string, needed ...string) (*table, error) {
	t := &table{r: csv.NewReader(r), name: name, columns: map[string]int{}}
	t.r.ReuseRecord = true
	header, err := t.r.Read()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: is empty: want a header with %s", name, strings.Join(needed, ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: read the header: %w", name, err)
	}
	t.header = slices.Clone(header)
	for _, column := range needed {
		i := t.column(column)
		if i < 0 {
			return nil, fmt.Errorf("%s:1: no column %q (got %q)", name, column, strings.Join(t.header, ","))
		}
		t.columns[column] = i
	}
	return t, nil
}

func (t *table) column(name string) int {
	return slices.IndexFunc(t.header, func(h string) bool {
		return strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")) == name
	})
}

func (t *table) next() ([]string, error) {
	row, err := t.r.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", t.name, err)
	}
	return row, err
}

// time reads a column of Unix seconds, which may have a fraction.
func (t *table) time(row []string, column string) (time.Time, error) {
	text := strings.TrimSpace(row[t.columns[column]])
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0 && v < 1e11) {
		return time.Time{}, t.errorf(column, text, "want Unix seconds")
	}
	whole, fraction := math.Modf(v)
	return time.Unix(int64(whole), int64(math.Round(fraction*1e6))*1e3).UTC(), nil
}

func (t *table) errorf(column, got, want string) error {
	line, _ := t.r.FieldPos(t.columns[column])
	return fmt.Errorf("%s:%d: %s: %s (got %q)", t.name, line, column, want, got)
}
