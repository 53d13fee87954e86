package board_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/dashboards/board"
	"github.com/postflight/postflight/verifier"
)

// charted are the fixtures whose charts differ by more than their sentence.
func charted() []fixture {
	wanted := map[string]bool{"pending": true, "observing": true, "kept": true, "reverted-none": true, "control-group": true, "inconclusive": true, "superseded": true}
	var out []fixture
	for _, f := range fixtures() {
		if wanted[f.name] {
			out = append(out, f)
		}
	}
	value := fixture{name: "value", v: opened(), now: deployed.Add(40 * time.Minute)}
	f := ordersFinding()
	f.Role, f.State, f.After, f.Onset = verifier.Decisive, verifier.SignalBad, ptr(430.0), ptr(deployed.Add(4*time.Minute))
	value.v.Signals = []verifier.Finding{f}
	value.v = decided(value.v, verifier.Revert, 12*time.Minute, "Orders fell from 1,250 to 430 (limit 1,200), 4m00s after this deploy.")
	count := fixture{name: "count", v: opened(), now: deployed.Add(10 * time.Minute)}
	count.v.State = verifier.StateObserving
	count.v.Signals = []verifier.Finding{ticketsFinding()}
	return append(out, value, count)
}

func draw(t *testing.T, f fixture, e verifier.Evidence) image.Image {
	t.Helper()
	got, err := board.PNG(f.v, e, f.now)
	require.NoError(t, err)
	require.Less(t, len(got), 150_000)
	picture, err := png.Decode(bytes.NewReader(got))
	require.NoError(t, err)
	require.Equal(t, image.Rect(0, 0, 1000, 600), picture.Bounds())
	return picture
}

func TestPictureOfEachState(t *testing.T) {
	for _, f := range charted() {
		t.Run(f.name, func(t *testing.T) {
			picture := draw(t, f, f.reader().evidence[f.v.ID])
			file := filepath.Join("testdata", "png", f.name+".png")
			if *update {
				var b bytes.Buffer
				require.NoError(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, picture))
				require.NoError(t, os.WriteFile(file, b.Bytes(), 0o644))
			}
			golden, err := os.ReadFile(file)
			require.NoError(t, err)
			want, err := png.Decode(bytes.NewReader(golden))
			require.NoError(t, err)
			require.Empty(t, differing(want, picture))
		})
	}
}

// differing compares in squares of 10 pixels by their mean brightness: another
// version of the font's hinting moves no square by a tenth, a line or a word
// that is missing does.
func differing(a, b image.Image) string {
	for y := 0; y < a.Bounds().Dy(); y += 10 {
		for x := 0; x < a.Bounds().Dx(); x += 10 {
			if d := math.Abs(brightness(a, x, y) - brightness(b, x, y)); d > 0.1 {
				return fmt.Sprintf("the square at %d,%d differs by %.2f", x, y, d)
			}
		}
	}
	return ""
}

func brightness(p image.Image, left, top int) float64 {
	sum := 0.0
	for y := top; y < top+10; y++ {
		for x := left; x < left+10; x++ {
			r, g, b, _ := p.At(x, y).RGBA()
			sum += float64(r+g+b) / 3 / 0xffff
		}
	}
	return sum / 100
}

func TestPictureTellsWhatIsMissing(t *testing.T) {
	f := charted()[2]
	whole := f.reader().evidence[f.v.ID]
	bare := whole
	bare.Signals = []verifier.SignalEvidence{{Signal: "errors"}}
	dropped := verifier.Evidence{DroppedAt: ptr(deployed.Add(40 * 24 * time.Hour))}
	for name, e := range map[string]verifier.Evidence{"no observations": bare, "dropped": dropped, "nothing at all": {}} {
		t.Run(name, func(t *testing.T) {
			picture := draw(t, f, e)
			require.NotEmpty(t, differing(picture, draw(t, f, whole)))
			middle := 1.0
			for x := 440; x < 560; x += 10 {
				middle = min(middle, brightness(picture, x, 330))
			}
			require.Less(t, middle, 0.9, "a note stands in the middle")
		})
	}
}

// TestPictureOfOddRecords draws what no page was made for: it must come out as
// a picture, whatever is in the record.
func TestPictureOfOddRecords(t *testing.T) {
	f := charted()[3]
	e := f.reader().evidence[f.v.ID]
	long := strings.Repeat("verylongname", 80)
	f.v.Deployment.Service, f.v.Deployment.Version, f.v.Verdict.Summary = long, "<b>\x00\u202e\xff", strings.Repeat(long+" ", 20)
	draw(t, f, e)
	f.v.Verdict.Summary = strings.Repeat("検証 ", 400)
	draw(t, f, e)
	for i := range e.Signals[0].Observations {
		e.Signals[0].Observations[i].Bad, e.Signals[0].Observations[i].Value = math.MaxFloat64, math.Inf(1)
	}
	draw(t, f, e)
	f.v.Deployment.StartedAt, f.v.Deployment.FinishedAt, f.v.ClosesAt = time.Time{}, deployed.AddDate(100, 0, 0), time.Time{}
	draw(t, f, e)
	draw(t, fixture{}, verifier.Evidence{})
}

func TestPictureIsServed(t *testing.T) {
	f := charted()[3]
	address := f.path() + "/chart.png"
	w := ask(t, f.reader(), f.now, address)
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "image/png", w.Header().Get("Content-Type"))
	require.Equal(t, "private, max-age=3600", w.Header().Get("Cache-Control"))
	_, err := png.Decode(w.Body)
	require.NoError(t, err)

	again := ask(t, f.reader(), f.now, address, func(_ *board.Options, r *http.Request) {
		r.Header.Set("If-None-Match", w.Header().Get("ETag"))
	})
	require.Equal(t, http.StatusNotModified, again.Code)
	require.Empty(t, again.Body.Bytes())

	live := charted()[1]
	require.Equal(t, "private, no-cache", ask(t, live.reader(), live.now, live.path()+"/chart.png").Header().Get("Cache-Control"))
}

func TestPictureIsAsGuardedAsThePage(t *testing.T) {
	f := charted()[3]
	w := ask(t, f.reader(), f.now, f.path()+"/chart.png", func(o *board.Options, _ *http.Request) {
		o.Wrap = func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
		}
	})
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Empty(t, w.Body.Bytes())
}

func TestPictureProblems(t *testing.T) {
	f := charted()[3]
	broken := f.reader()
	broken.err = verifier.Errorf(verifier.Internal, "secret place")
	unread := f.reader()
	unread.evidence = nil
	for name, c := range map[string]struct {
		reader  *memory
		address string
		status  int
		detail  string
	}{
		"unknown":     {f.reader(), "/verifications/vf_<none>/chart.png", 404, "there is no verification “vf_<none>”"},
		"defect":      {broken, f.path() + "/chart.png", 500, "the chart could not be drawn: the daemon's log says why"},
		"no evidence": {unread, f.path() + "/chart.png", 503, "the chart can't be drawn just now: try again in a moment"},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(t, c.reader, f.now, c.address)
			require.Equal(t, c.status, w.Code)
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			var problem struct {
				Title, Detail string
				Status        int
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &problem))
			require.Equal(t, c.status, problem.Status)
			require.Equal(t, c.detail, problem.Detail)
			require.NotContains(t, w.Body.String(), "secret place")
		})
	}
}

// TestPicturesAreDrawnByTurns asks for many at once: each is drawn, and whoever
// gives up waiting is told to come back.
func TestPicturesAreDrawnByTurns(t *testing.T) {
	f := charted()[3]
	mux := http.NewServeMux()
	board.New(f.reader(), board.Options{Now: func() time.Time { return f.now }}).Register(mux)
	var wg sync.WaitGroup
	codes := make([]int, 12)
	for i := range codes {
		wg.Go(func() {
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, f.path()+"/chart.png", nil))
			codes[i] = w.Code
		})
	}
	wg.Wait()
	for _, code := range codes {
		require.Equal(t, http.StatusOK, code)
	}
}
