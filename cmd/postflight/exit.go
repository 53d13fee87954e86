package main

import (
	"errors"
	"fmt"

	"github.com/postflight/postflight/verifier"
)

// Exit codes. A fault of the tool or the network (1) never looks like a bad
// deploy (10).
const (
	exitKeep         = 0
	exitFault        = 1
	exitUsage        = 2
	exitRevert       = 10
	exitNoGo         = 10 // of the gate
	exitInconclusive = 11
	exitSuperseded   = 12
	exitTimeout      = 13
	exitWithheld     = 14
)

// exit is an error that carries its exit code. An empty message prints
// nothing more.
type exit struct {
	code    int
	message string
}

func (e exit) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return exit{code: exitUsage, message: fmt.Sprintf(format, args...)}
}

func exitCode(err error) int {
	var e exit
	switch {
	case err == nil:
		return exitKeep
	case errors.As(err, &e):
		return e.code
	}
	return exitFault
}

// verdictExit is the exit code for a verification that has ended, as what
// counts: a person's override before postflight's verdict.
func verdictExit(v verifier.Verification) int {
	if v.State == verifier.StateSuperseded || v.State == verifier.StateCancelled {
		return exitSuperseded
	}
	switch v.Effective {
	case verifier.Keep:
		return exitKeep
	case verifier.Revert:
		if v.Action.State == verifier.ActionWithheld {
			return exitWithheld
		}
		return exitRevert
	}
	return exitInconclusive
}
