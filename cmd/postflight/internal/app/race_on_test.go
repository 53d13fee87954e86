//go:build race

package app

// raceDetector makes virtual time eight times as long.
const raceDetector = true
