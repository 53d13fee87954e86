//go:build failpoints

package main

import (
	"fmt"
	"os"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
	"github.com/postflight/postflight/cmd/postflight/internal/faulty"
)

// storeFaults holds rules such as Record=executed@10%;*=unavailable@1%.
const storeFaults = "POSTFLIGHT_STORE_FAULTS"

// withFaults puts the faults that the environment names before the store.
func withFaults(o app.Options) (app.Options, error) {
	rules, err := faulty.Parse(os.Getenv(storeFaults))
	if err != nil {
		return o, fmt.Errorf("%s: %w", storeFaults, err)
	}
	if len(rules) > 0 {
		faults := faulty.NewFaults(uint64(os.Getpid()), rules...) // #nosec G115 -- never negative
		o.Store = func(s app.Storage) app.Storage { return faulty.New(s, faults) }
	}
	return o, nil
}
