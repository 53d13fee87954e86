// Command benchdecisions measures the judge: on labelled changes, and on
// simulated counters with fixed seeds. It prints the tables of docs/judging.md.
//
//	go run ./verifier/judge/benchdecisions -changes DIR -healthy 400 -bad 100
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	dir := flag.String("changes", "", "folder of labelled changes: index.csv and a gzip CSV a case")
	healthy := flag.Int("healthy", 200, "healthy deploys a cell; 0 leaves the counters out")
	bad := flag.Int("bad", 60, "deploys a regression")
	flag.Parse()
	if *dir != "" {
		if err := changes(os.Stdout, *dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if *healthy > 0 {
		counters(os.Stdout, *healthy, *bad)
	}
}
