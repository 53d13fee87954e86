package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier/store"
)

func storageCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "storage",
		Short: "Migrate, check, back up and move the state",
		Args:  cobra.ArbitraryArgs,
		RunE:  needsCommand,
	}
	cmd.AddCommand(storageMigrateCommand(s), storageCheckCommand(s), storageBackupCommand(s), storageExportCommand(s), storageImportCommand(s))
	return cmd
}

// storageFlags are those of the commands that work on a store themselves.
func storageFlags(cmd *cobra.Command) {
	cmd.Flags().String("config.file", "postflight.yml", "configuration file, for its storage.url")
	cmd.Flags().String("storage.url", "", "the store, instead of a configuration's")
	outputFlag(cmd.Flags())
}

// storageURL is the store that is meant.
func storageURL(cmd *cobra.Command) (string, error) {
	v, err := settings(cmd.Flags())
	if err != nil {
		return "", err
	}
	if url := v.GetString("storage.url"); url != "" {
		return url, nil
	}
	c, err := configs.Load(v.GetString("config.file"), os.LookupEnv)
	if err != nil {
		return "", fmt.Errorf("read the configuration for its storage.url (or give --storage.url): %w", err)
	}
	return c.Storage.URL, nil
}

func storageMigrateCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the schema up to this version, as serve does at its start",
		Long: "Brings the schema up to this version, as serve does at its start, and never back. Replicas of\n" +
			"the version before go on meanwhile. A store that a newer postflight wrote is refused.",
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			url, err := storageURL(cmd)
			if err != nil {
				return err
			}
			steps := []string{}
			err = store.Migrate(cmd.Context(), url, func(step string) {
				steps = append(steps, step)
				if !asJSON(cmd) {
					fmt.Fprintln(s.out, step)
				}
			})
			if err != nil {
				return err
			}
			return s.tell(cmd, map[string][]string{"steps": steps}, func() {
				if len(steps) == 0 {
					fmt.Fprintln(s.out, "up to date already")
				}
			})
		},
	}
	storageFlags(cmd)
	return cmd
}

// storageChecked is what storage check tells machines.
type storageChecked struct {
	Problems []string         `json:"problems"`
	Rows     map[string]int64 `json:"rows"`
}

func storageCheckCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say everything in the store that is not as postflight writes it",
		Long: "Reads the whole store, beside a daemon or without one: the database's own structure, schema,\n" +
			"references, records, the chain of the audit, deliveries that nobody would send. Changes nothing;\n" +
			"exit code 1 when something is wrong.",
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			url, err := storageURL(cmd)
			if err != nil {
				return err
			}
			found, err := store.Check(cmd.Context(), url)
			if err != nil {
				return err
			}
			err = s.tell(cmd, storageChecked{append([]string{}, found.Problems...), found.Rows}, func() {
				for _, problem := range found.Problems {
					fmt.Fprintln(s.out, problem)
				}
				if len(found.Problems) == 0 {
					fmt.Fprintf(s.out, "sound: %s\n", rowsOf(found.Rows))
				}
			})
			if n := len(found.Problems); err == nil && n > 0 {
				return fmt.Errorf("the store is not sound: %d of these", n)
			}
			return err
		},
	}
	storageFlags(cmd)
	return cmd
}

// rowsOf says how many of what there are.
func rowsOf(rows map[string]int64) string {
	return fmt.Sprintf("%d deployments, %d verifications, %d observations, %d deliveries, %d audit entries",
		rows["deployments"], rows["verifications"], rows["observations"], rows["deliveries"], rows["audit"])
}

// storageFile is a file that was written or read, for machines.
type storageFile struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes,omitempty"`
}

func storageBackupCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a copy of an SQLite store to a new file, while a daemon uses it",
		Args:  exactly(1, "the file to write"),
		RunE: func(cmd *cobra.Command, args []string) error {
			url, err := storageURL(cmd)
			if err != nil {
				return err
			}
			if err := store.Backup(cmd.Context(), url, args[0]); err != nil {
				return err
			}
			info, err := os.Stat(args[0])
			if err != nil {
				return fmt.Errorf("look at the backup: %w", err)
			}
			return s.tell(cmd, storageFile{args[0], info.Size()}, func() { fmt.Fprintf(s.out, "backed up to %s, %d bytes\n", args[0], info.Size()) })
		},
	}
	storageFlags(cmd)
	return cmd
}

func storageExportCommand(s streams) *cobra.Command {
	var snapshot bool
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write the whole state to a file that import reads into any kind of database",
		Long: "Writes the whole state, what is still to be sent with it, as lines of JSON with a checksum; - is\n" +
			"standard output. Stop the daemons first: what they do later would not be in it.",
		Args: exactly(1, "the file to write, or -"),
		RunE: func(cmd *cobra.Command, args []string) error {
			url, err := storageURL(cmd)
			if err != nil {
				return err
			}
			if args[0] == "-" {
				return store.Export(cmd.Context(), url, s.out, snapshot, s.progress("exported"))
			}
			if err := exportTo(cmd.Context(), url, args[0], snapshot, s); err != nil {
				return err
			}
			return s.tell(cmd, storageFile{File: args[0]}, func() {})
		},
	}
	storageFlags(cmd)
	cmd.Flags().BoolVar(&snapshot, "snapshot", false, "export beside a daemon that goes on: to look at, not to move to")
	return cmd
}

// exportTo writes a file that is whole or not there.
func exportTo(ctx context.Context, url, name string, snapshot bool, s streams) (err error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // #nosec G304 -- the operator names it
	if err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(name) // the error that led here says more
		}
	}()
	if err := store.Export(ctx, url, file, snapshot, s.progress("exported")); err != nil {
		_ = file.Close() // the error of the export says more
		return err
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	return file.Close()
}

func storageImportCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Read an export into an empty store: all of it, compared row by row, or nothing",
		Args:  exactly(1, "the file to read, or -"),
		RunE: func(cmd *cobra.Command, args []string) error {
			url, err := storageURL(cmd)
			if err != nil {
				return err
			}
			from := s.in
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("read the export: %w", err)
				}
				defer file.Close() //nolint:errcheck // only read
				from = file
			}
			return importFrom(cmd, url, from, args[0], s)
		},
	}
	storageFlags(cmd)
	return cmd
}

func importFrom(cmd *cobra.Command, url string, from io.Reader, name string, s streams) error {
	if err := store.Import(cmd.Context(), url, from, s.progress("imported")); err != nil {
		return err
	}
	return s.tell(cmd, storageFile{File: name}, func() { fmt.Fprintln(s.out, "imported, and every table compared with the export") })
}

// progress says how far a table is, beside the output.
func (s streams) progress(done string) store.Progress {
	return func(table string, n, total int64) { fmt.Fprintf(s.err, "%s %s: %d of %d\n", done, table, n, total) }
}
