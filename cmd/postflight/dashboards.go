package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/dashboards"
)

func dashboardsCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dashboards",
		Short: "Dashboards for Grafana and alerting rules for Prometheus",
		Args:  cobra.ArbitraryArgs,
		RunE:  needsCommand,
	}
	export := &cobra.Command{
		Use:   "export DIR",
		Short: "Write the dashboards and rules of this version into a folder",
		Long: "Writes overview.json, service.json and postflight.json, which Grafana imports as they are, and\n" +
			"rules.yml, which Prometheus loads, into a folder. Where one of them is there already and differs,\n" +
			"nothing is written, unless --force is given.",
		Args: exactly(1, "the folder to write to"),
		RunE: func(cmd *cobra.Command, args []string) error {
			force, err := cmd.Flags().GetBool("force")
			if err != nil {
				return err
			}
			return exportDashboards(cmd, s, args[0], force)
		},
	}
	export.Flags().Bool("force", false, "write over files that differ")
	outputFlag(export.Flags())
	cmd.AddCommand(export)
	return cmd
}

func exportDashboards(cmd *cobra.Command, s streams, dir string, force bool) error {
	files, err := dashboards.Files()
	if err != nil {
		return err
	}
	var differ, write []dashboards.File
	for _, f := range files {
		have, err := os.ReadFile(filepath.Join(dir, f.Name)) // #nosec G304 -- where the caller wants them
		switch {
		case errors.Is(err, fs.ErrNotExist):
			write = append(write, f)
		case err != nil:
			return fmt.Errorf("look at what is in %s: %w", dir, err)
		case !bytes.Equal(have, f.Content):
			differ = append(differ, f)
		}
	}
	if len(differ) > 0 && !force {
		return fmt.Errorf("nothing is written, for in %s differ from this version's: %s: --force writes over them", dir, namesOf(differ))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { // #nosec G301 -- for Grafana and Prometheus, which are other users
		return fmt.Errorf("make the folder: %w", err)
	}
	wrote := []string{}
	for _, f := range append(write, differ...) {
		if err := replaceFile(filepath.Join(dir, f.Name), f.Content); err != nil {
			return err
		}
		wrote = append(wrote, filepath.Join(dir, f.Name))
	}
	return s.tell(cmd, map[string][]string{"wrote": wrote}, func() {
		for _, name := range wrote {
			fmt.Fprintln(s.out, "wrote", name)
		}
		if len(wrote) == 0 {
			fmt.Fprintf(s.out, "%s is up to date: %s\n", dir, namesOf(files))
		}
	})
}

func namesOf(files []dashboards.File) string {
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

// replaceFile writes a file whole or not at all: Grafana and Prometheus may read
// it at any moment.
func replaceFile(name string, content []byte) error {
	fresh, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer os.Remove(fresh.Name()) //nolint:errcheck // it has its name already, or is left over
	_, err = fresh.Write(content)
	err = errors.Join(err, fresh.Chmod(0o644), fresh.Close())
	if err == nil {
		err = os.Rename(fresh.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
