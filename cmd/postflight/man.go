package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/version"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func manCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages of this version into a folder",
		Long: `Writes a manual page for each command into a folder, postflight.1,
postflight-wait.1 and so on. In /usr/local/share/man/man1 man finds them by name;
man ./postflight.1 shows one as it lies.`,
		Args: exactly(1, "the folder to write to"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return writeManual(s, cmd, args[0])
		},
	}
	outputFlag(cmd.Flags())
	return cmd
}

func writeManual(s streams, writing *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { // #nosec G301 -- for man, which is another user
		return fmt.Errorf("make the folder: %w", err)
	}
	var written []string
	for _, cmd := range documented(writing.Root()) {
		var page strings.Builder
		header := doc.GenManHeader{
			Title: strings.ToUpper(strings.ReplaceAll(cmd.CommandPath(), " ", "-")), Section: "1",
			Source: "postflight " + version.Version, Manual: "postflight", Date: builtAt(),
		}
		if err := doc.GenMan(cmd, &header, &page); err != nil {
			return fmt.Errorf("write the manual page of %s: %w", cmd.CommandPath(), err)
		}
		name := filepath.Join(dir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1")
		if err := replaceFile(name, []byte(page.String())); err != nil {
			return err
		}
		written = append(written, name)
	}
	return s.tell(writing, map[string][]string{"wrote": written}, func() { fmt.Fprintf(s.out, "wrote %d manual pages to %s\n", len(written), dir) })
}

// builtAt is the date of the pages: that of the build, so that the same version
// makes the same pages; nil, which is today, of one that has none.
func builtAt() *time.Time {
	at, err := time.Parse("20060102-15:04:05", version.BuildDate)
	if err != nil {
		return nil
	}
	return &at
}

// documented are the commands that people use, those above the others first.
func documented(root *cobra.Command) []*cobra.Command {
	root.DisableAutoGenTag = true
	out := []*cobra.Command{root}
	for i := 0; i < len(out); i++ {
		for _, cmd := range out[i].Commands() {
			if cmd.IsAvailableCommand() && !cmd.IsAdditionalHelpTopicCommand() && !slices.Contains(out, cmd) {
				cmd.DisableAutoGenTag = true
				out = append(out, cmd)
			}
		}
	}
	return out
}
