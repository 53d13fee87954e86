package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// wordsOnly are the commands that may be without --output json, and why.
var wordsOnly = map[string]string{
	"serve":           "its log is for machines with --log.format=json",
	"init":            "it writes a file for people",
	"ready":           "its exit code is for machines",
	"completion bash": "", "completion zsh": "", "completion fish": "", "completion powershell": "", // for shells
}

// TestCommandsAnswerMachines: what people can ask, machines can.
func TestCommandsAnswerMachines(t *testing.T) {
	root := newRoot(streams{})
	asked := 0
	for _, cmd := range documented(root) {
		path := strings.TrimPrefix(cmd.CommandPath(), "postflight ")
		if _, allowed := wordsOnly[path]; allowed || cmd == root || cmd.HasSubCommands() && !cmd.HasAvailableLocalFlags() {
			continue
		}
		asked++
		flag := cmd.Flags().Lookup("output")
		require.NotNil(t, flag, "postflight %s has no --output", path)
		require.Equal(t, "o", flag.Shorthand, path)
	}
	require.Greater(t, asked, 20)
}
