package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	outputTable = "table"
	outputJSON  = "json"
)

func outputFlag(f *pflag.FlagSet) {
	f.StringP("output", "o", outputTable, "table for people, json for machines")
}

func asJSON(cmd *cobra.Command) bool {
	output, err := cmd.Flags().GetString("output")
	return err == nil && output == outputJSON
}

// checkOutput refuses an output format that does not exist.
func checkOutput(cmd *cobra.Command) error {
	flag := cmd.Flags().Lookup("output")
	if flag == nil {
		return nil
	}
	if output := flag.Value.String(); output != outputTable && output != outputJSON {
		return usagef("--output: table or json (got %q)", output)
	}
	return nil
}

// tell writes what a command did: as JSON for machines, else by words.
func (s streams) tell(cmd *cobra.Command, value any, words func()) error {
	if !asJSON(cmd) {
		words()
		return nil
	}
	encoder := json.NewEncoder(s.out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}
