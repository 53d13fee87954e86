// Command provenance says of released binaries where they come from, as a SLSA
// v1 provenance in an in-toto statement, and checks a folder with a release. The
// release recipe, .ci/release, runs it; what it writes is not signed: a signed
// statement is made by the workflow that runs the recipe.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "provenance: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("provenance", flag.ContinueOnError)
	check := flags.String("check", "", "check the release in this folder instead")
	out := flags.String("out", "", "file to write the statement to")
	var r recipe
	flags.StringVar(&r.version, "version", "", "version that was built")
	flags.StringVar(&r.commit, "commit", "", "commit that it was built of, 40 hexadecimal digits")
	started := flags.String("started", "", "when the build began (RFC 3339)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *check != "" {
		return checkRelease(*check)
	}
	if *out == "" || r.version == "" || len(r.commit) != 40 || flags.NArg() == 0 {
		return errors.New("usage: provenance -out FILE -version V -commit HASH -started TIME BINARY..., or provenance -check FOLDER")
	}
	var err error
	if r.started, err = time.Parse(time.RFC3339, *started); err != nil {
		return fmt.Errorf("-started: %w", err)
	}
	s, err := r.statement(flags.Args(), time.Now())
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write statement: %w", err)
	}
	if err := os.WriteFile(*out, append(b, '\n'), 0o644); err != nil { // #nosec G306 -- to be published
		return fmt.Errorf("write statement: %w", err)
	}
	return nil
}
