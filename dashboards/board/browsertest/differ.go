package browsertest

import (
	"fmt"
	"image"
	"image/draw"
	"math"
)

// What two screenshots may differ by and still show the same. The letters of one
// version of the browser and its fonts are the same on every machine, so little
// is: a word that changed is 5 % of its square or more.
const (
	colourStep    = 64   // of 255, of the channel that differs most; few colours cost up to edgeStep of it
	square        = 40   // pixels, the side of the squares that are compared
	shareOfSquare = 0.04 // of the pixels of a square
	moves         = 2    // pixels by which what a square shows may have moved up or down
)

// Differ says in which way two screenshots look different, "" where they do
// not: another size by more than moves, or a square in which more pixels differ
// visibly than shareOfSquare, wherever near it is looked for.
func Differ(want, got image.Image) string {
	w, g := want.Bounds(), got.Bounds()
	if w.Dx() != g.Dx() {
		return fmt.Sprintf("is %d pixels wide, not %d", g.Dx(), w.Dx())
	}
	if d := g.Dy() - w.Dy(); d > moves || d < -moves {
		return fmt.Sprintf("is %d pixels high, not %d", g.Dy(), w.Dy())
	}
	a, b := flat(want), flat(got)
	worst, where, squares := 0.0, image.Point{}, 0
	for y := 0; y < w.Dy(); y += square {
		for x := 0; x < w.Dx(); x += square {
			share := unlike(a, b, image.Rect(x, y, x+square, y+square).Intersect(a.Rect))
			if share <= shareOfSquare {
				continue
			}
			squares++
			if share > worst {
				worst, where = share, image.Pt(x, y)
			}
		}
	}
	if squares > 0 {
		return fmt.Sprintf("differs in %d squares of %d pixels, most at %v: in %.0f%% of its pixels; %.0f%% are tolerated", squares, square, where, worst*100, shareOfSquare*100)
	}
	return ""
}

func flat(img image.Image) *image.RGBA {
	out := image.NewRGBA(image.Rectangle{Max: img.Bounds().Size()})
	draw.Draw(out, out.Bounds(), img, img.Bounds().Min, draw.Src)
	return out
}

// unlike is the share of a square's pixels that differ visibly, where what it
// shows is found best.
func unlike(a, b *image.RGBA, r image.Rectangle) float64 {
	least := math.MaxInt
	for _, dy := range []int{0, -1, 1, -2, 2} {
		least = min(least, differing(a, b, r, dy))
		if float64(least) <= shareOfSquare*float64(r.Dx()*r.Dy()) {
			break
		}
	}
	return float64(least) / float64(r.Dx()*r.Dy())
}

// differing counts pixels; those beyond the other's edge are compared with it.
func differing(a, b *image.RGBA, r image.Rectangle, dy int) int {
	n := 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		row := a.Pix[a.PixOffset(r.Min.X, y) : a.PixOffset(r.Max.X-1, y)+4]
		from := b.PixOffset(r.Min.X, min(max(y+dy, 0), b.Rect.Max.Y-1))
		other := b.Pix[from : from+len(row)]
		for i := 0; i < len(row); i += 4 {
			if step(row[i], other[i]) > colourStep || step(row[i+1], other[i+1]) > colourStep || step(row[i+2], other[i+2]) > colourStep {
				n++
			}
		}
	}
	return n
}

func step(a, b uint8) uint8 { return max(a, b) - min(a, b) }
