// Package benchmark measures the judge, beside what peers do: on labelled real
// changes, and on simulated deploys whose truth is known. Every random number
// comes from math/rand/v2's PCG, seeded by the run's seed and the name of what
// is drawn, so a figure is the same on every machine and with any number of
// workers.
package benchmark
