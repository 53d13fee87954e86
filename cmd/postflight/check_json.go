package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
	"github.com/postflight/postflight/configs"
)

// checked is what check config tells machines.
type checked struct {
	File     string           `json:"file"`
	Valid    bool             `json:"valid"`
	Problems []checkedProblem `json:"problems"`
	// Unavailable is what serve refuses although it is valid, and Notes what
	// may be meant otherwise.
	Unavailable []string `json:"unavailable"`
	Notes       []string `json:"notes"`
}

// checkedProblem is a problem with its place; without one it is of the whole file.
type checkedProblem struct {
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Path   string `json:"path,omitempty"`
	What   string `json:"what"`
	Got    string `json:"got,omitempty"`
}

// checkForMachines is check config as JSON, with the same exit codes.
func checkForMachines(cmd *cobra.Command, s streams, file string) error {
	if online := cmd.Flags().Lookup("online"); online != nil && online.Value.String() == "true" {
		return usagef("--online answers in words only: leave --output away")
	}
	out := checked{File: file, Problems: []checkedProblem{}, Unavailable: []string{}, Notes: []string{}}
	c, err := configs.Load(file, os.LookupEnv)
	if err == nil {
		err = errors.Join(app.CheckFeeds(c), app.CheckReceivers(c))
	}
	out.Problems = append(out.Problems, problemsOf(err)...)
	if out.Valid = err == nil; out.Valid {
		for _, missing := range c.Unavailable() {
			out.Unavailable = append(out.Unavailable, missing.Error())
		}
		out.Notes = append(out.Notes, c.Doubts()...)
	}
	if err := s.tell(cmd, out, nil); err != nil || out.Valid {
		return err
	}
	return exit{code: exitFault}
}

func problemsOf(err error) (out []checkedProblem) {
	var problems configs.Problems
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &problems):
		return []checkedProblem{{What: err.Error()}}
	}
	for _, p := range problems {
		out = append(out, checkedProblem{p.Line, p.Col, p.Path, p.What, p.Got})
	}
	return out
}
