// Command site makes a static site of docs/: a page for each Markdown file, in
// the style of the daemon's own pages, without scripts and with nothing from
// elsewhere. A link that leads nowhere is an error.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	root := flag.String("root", ".", "folder of the repository")
	out := flag.String("out", "bin/site", "folder to write to")
	flag.Parse()
	site, err := build(os.DirFS(*root))
	if err == nil {
		err = site.write(*out)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "site: %v\n", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stdout, "%d pages and %d other files are in %s: open %s/index.html\n", len(site.pages), len(site.assets), *out, *out)
}
