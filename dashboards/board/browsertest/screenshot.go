package browsertest

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
)

// What two screenshots may differ by and still show the same: fonts of another
// version move edges of letters.
const (
	colourStep  = 48   // of 255, of the channel that differs most
	shareOfArea = 0.02 // of all pixels
	shareOfSide = 0.02 // of height; the width is the view's own
)

// Screenshot is the whole page as a PNG.
func (tab *Tab) Screenshot() []byte {
	tab.t.Helper()
	shot, err := chromedp.Run(tab.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		tab.t.Fatalf("take a screenshot: %v", err)
	}
	return shot
}

// fewColours paints an image with its 256 most frequent colours, each other
// one with the nearest of them.
func fewColours(img image.Image) *image.Paletted {
	b := img.Bounds()
	flat := image.NewRGBA(b)
	draw.Draw(flat, b, img, b.Min, draw.Src)
	counts := map[[4]uint8]int{}
	for i := 0; i < len(flat.Pix); i += 4 {
		counts[[4]uint8(flat.Pix[i:i+4])]++
	}
	all := slices.SortedFunc(maps.Keys(counts), func(a, b [4]uint8) int {
		return cmp.Or(counts[b]-counts[a], bytes.Compare(a[:], b[:]))
	})
	var palette color.Palette
	for _, c := range all[:min(len(all), 256)] {
		palette = append(palette, color.RGBA{c[0], c[1], c[2], c[3]})
	}
	nearest := make(map[[4]uint8]uint8, len(all))
	for _, c := range all {
		nearest[c] = uint8(palette.Index(color.RGBA{c[0], c[1], c[2], c[3]})) //#nosec G115 -- below 256
	}
	out := image.NewPaletted(b, palette)
	for i := range out.Pix {
		out.Pix[i] = nearest[[4]uint8(flat.Pix[4*i:4*i+4])]
	}
	return out
}

// small is an image as a PNG of at most 256 colours, as small as it gets.
func small(img image.Image) []byte {
	var out bytes.Buffer
	_ = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, fewColours(img)) // a buffer takes everything
	return out.Bytes()
}

// Golden compares a screenshot with the file, within a tolerance: the share of
// pixels that differ visibly, and the page's height. With update, or where
// there is no file yet and update is set, it writes it instead. What differs
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
		if err := os.WriteFile(file, small(got), 0o644); err != nil {
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
