package browsertest

import (
	"bytes"
	"cmp"
	"context"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// How far, of 255 in each channel, a colour of a page may be from the one that
// its picture is kept with: not at all where it fills something, and in the edges
// of letters so that nobody sees it and the file has half the size.
const (
	edgeStep = 40
	fillStep = 2
	fills    = 100 // pixels inside of areas of a colour, from which on it fills something
)

// Screenshot is the whole page as a PNG.
func (tab *Tab) Screenshot() []byte {
	tab.t.Helper()
	// As chromedp.FullScreenshot, but for the encoding, which took most of its time.
	yes := true
	shot, err := chromedp.Run(tab.ctx, func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
		r, err := cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &yes, FromSurface: &yes, OptimizeForSpeed: &yes})
		if err != nil {
			return nil, err
		}
		return r.Data, nil
	})
	if err != nil {
		tab.t.Fatalf("take a screenshot: %v", err)
	}
	return shot
}

// fewColours paints an image with the most frequent of its colours that are
// further than edgeStep or fillStep from each other, at most 256, and each other
// colour with the nearest of them.
func fewColours(img image.Image) *image.Paletted {
	all := flat(img)
	counts, inside := map[[4]uint8]int{}, map[[4]uint8]int{}
	for i := 0; i < len(all.Pix); i += 4 {
		c := [4]uint8(all.Pix[i : i+4])
		counts[c]++
		if i > all.Stride && c == [4]uint8(all.Pix[i-4:i]) && c == [4]uint8(all.Pix[i-all.Stride:][:4]) {
			inside[c]++
		}
	}
	frequent := slices.SortedFunc(maps.Keys(counts), func(a, b [4]uint8) int {
		return cmp.Or(counts[b]-counts[a], bytes.Compare(a[:], b[:]))
	})
	var palette color.Palette
	var kept [][4]uint8
	for _, c := range frequent {
		apart := uint8(edgeStep)
		if inside[c] >= fills {
			apart = fillStep
		}
		if len(kept) < 256 && !slices.ContainsFunc(kept, func(k [4]uint8) bool {
			return max(step(c[0], k[0]), step(c[1], k[1]), step(c[2], k[2])) <= apart
		}) {
			kept = append(kept, c)
			palette = append(palette, color.RGBA{c[0], c[1], c[2], c[3]})
		}
	}
	nearest := make(map[[4]uint8]uint8, len(frequent))
	for _, c := range frequent {
		nearest[c] = uint8(palette.Index(color.RGBA{c[0], c[1], c[2], c[3]})) //#nosec G115 -- below 256
	}
	out := image.NewPaletted(all.Rect, palette)
	for i := range out.Pix {
		out.Pix[i] = nearest[[4]uint8(all.Pix[4*i:4*i+4])]
	}
	return out
}

// small is an image as a PNG of at most 256 colours, as small as it gets.
func small(img image.Image) []byte {
	var out bytes.Buffer
	_ = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, fewColours(img)) // a buffer takes everything
	return out.Bytes()
}

// Golden compares a screenshot with the file, as Differ does. With update it writes the file instead. What differs
// is kept beside the test's other temporary files.
func Golden(t testing.TB, file string, shot []byte, update bool) {
	t.Helper()
	got, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(file) //#nosec G304 -- a golden file of the test
	if update {
		// What is the same to the eye stays as it is, so that a rewrite
		// changes only what changed.
		if err == nil && alike(old, got) == "" {
			return
		}
		if err := os.WriteFile(file, small(got), 0o644); err != nil { // #nosec G306 -- people look at it
			t.Fatal(err)
		}
		return
	}
	if err != nil {
		t.Fatalf("%v: run the test with -update and look at what it writes", err)
	}
	if why := alike(old, got); why != "" {
		kept := filepath.Join(os.TempDir(), "postflight-got-"+filepath.Base(file))
		_ = os.WriteFile(kept, shot, 0o600) // best effort: the failure below is what counts
		t.Errorf("%s: %s; the new one is %s. If it is meant, run with -update and look at it", file, why, kept)
	}
}

// alike says in which way a page looks different, "" where it does not.
func alike(golden []byte, got image.Image) string {
	want, err := png.Decode(bytes.NewReader(golden))
	if err != nil {
		return "is no PNG: " + err.Error()
	}
	return Differ(want, got)
}
