package pgtest

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A terminal's Ctrl-C goes to the whole group in its foreground: who tidies up
// after PostgreSQL must not be in it.
func TestWhoTidiesUpIsInAGroupOfItsOwn(t *testing.T) {
	defer Stop()
	Database(t)
	group, err := syscall.Getpgid(quick.running.cmd.Process.Pid)
	require.NoError(t, err)
	require.NotEqual(t, syscall.Getpgrp(), group)
}
