//go:build !failpoints

package main

import "github.com/postflight/postflight/cmd/postflight/internal/app"

// withFaults leaves a daemon as it is.
func withFaults(o app.Options) (app.Options, error) { return o, nil }
