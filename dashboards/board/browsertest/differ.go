package browsertest

import (
	"fmt"
	"image"
	"image/draw"
	"math"
)

// Differ says in which way two screenshots look different, "" where they do
// not: another width, a height that is more than 2 % off, or more than 2 % of
// pixels that differ by more than 48 of 255 in a channel. Of a page that grew
// by a line what is below it moved, so rows are compared from the top and, when
// that fails, from the bottom.
func Differ(want, got image.Image) string {
	w, g := want.Bounds(), got.Bounds()
	if w.Dx() != g.Dx() {
		return fmt.Sprintf("is %d pixels wide, not %d", g.Dx(), w.Dx())
	}
	if math.Abs(float64(g.Dy()-w.Dy())) > max(4, shareOfSide*float64(w.Dy())) {
		return fmt.Sprintf("is %d pixels high, not %d", g.Dy(), w.Dy())
	}
	height := min(w.Dy(), g.Dy())
	share := differing(want, got, height, w.Min, g.Min)
	if share > shareOfArea && w.Dy() != g.Dy() {
		share = min(share, differing(want, got, height,
			image.Pt(w.Min.X, w.Max.Y-height), image.Pt(g.Min.X, g.Max.Y-height)))
	}
	if share > shareOfArea {
		return fmt.Sprintf("differs in %.1f%% of its pixels; %.0f%% are tolerated", share*100, shareOfArea*100)
	}
	return ""
}

func differing(want, got image.Image, height int, w, g image.Point) float64 {
	width := want.Bounds().Dx()
	flat := func(img image.Image, from image.Point) []uint8 {
		out := image.NewRGBA(image.Rect(0, 0, width, height))
		draw.Draw(out, out.Bounds(), img, from, draw.Src)
		return out.Pix
	}
	a, b := flat(want, w), flat(got, g)
	n := 0
	for i := 0; i < len(a); i += 4 {
		for c := range 3 {
			if max(a[i+c], b[i+c])-min(a[i+c], b[i+c]) > colourStep {
				n++
				break
			}
		}
	}
	return float64(n) / float64(max(1, width*height))
}
