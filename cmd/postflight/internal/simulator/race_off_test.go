//go:build !race

package simulator

// raceDetector makes a simulated day thirteen times as long.
const raceDetector = false
