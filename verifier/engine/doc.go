// Package engine is the loop of a verification: take what is due, measure,
// judge, commit. It knows no Prometheus and no SQL; the database coordinates,
// so any number of engines may run against one store.
package engine
