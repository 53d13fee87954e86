package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Problem is one thing that is wrong in a configuration file.
type Problem struct {
	File string
	Line int // from 1
	Col  int // from 1, in characters
	Path string
	What string // what is wrong and the remedy
	Got  string // the value as it was written, shortened; "" where it isn't the point
}

// String returns FILE:LINE:COL: PATH: WHAT (got "GOT").
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Col)
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(oneLine.Replace(p.What))
	if p.Got != "" {
		fmt.Fprintf(&b, " (got %q)", p.Got)
	}
	return b.String()
}

// oneLine keeps a problem on its line, whatever was in the value.
var oneLine = strings.NewReplacer("\n", `\n`, "\r", `\r`, "\t", `\t`)

// Problems is everything that is wrong in a configuration file, in the order
// of the file, each once.
type Problems []Problem //nolint:errname // callers read it as the list that it is

// Error returns one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// sorted returns the problems in the order of the file, each once.
func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.What, b.What))
	})
	return slices.Compact(p)
}

// maxGot is how much of a value a problem shows, in bytes.
const maxGot = 80

// shown prepares a written value for a problem: what may be secret of an
// address hidden, long values shortened.
func shown(written string) string {
	if strings.Contains(written, "://") {
		written = shownAddress(written)
	}
	if len(written) <= maxGot {
		return written
	}
	cut := maxGot
	for cut > 0 && !utf8.RuneStart(written[cut]) {
		cut--
	}
	return written[:cut] + "..."
}

// shownAddress hides what may be secret of an address, with or without its
// scheme: user and password, and everything behind the host, for services
// such as Slack put the token into the path. A password may hold slashes and
// question marks that should have been escaped, so everything up to the last
// @ may belong to it.
func shownAddress(address string) string {
	scheme, rest := "", address
	if i := strings.Index(address, "://"); i >= 0 {
		scheme, rest = address[:i+3], address[i+3:]
	}
	user := ""
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, rest = hidden+"@", rest[at+1:]
	}
	end := afterHost(rest)
	host, behind := rest[:end], rest[end:]
	if len(host) >= minToken && !strings.ContainsAny(host, ".:{[") {
		host = hidden // no host looks like that, and a token alone does
	}
	if len(behind) > 1 {
		behind = behind[:1] + "..."
	}
	return scheme + user + host + behind
}

// afterHost returns where the host of an address ends, whichever character
// stands in the place of the slash. Templates belong to the host.
func afterHost(rest string) int {
	inside := 0
	for i, c := range rest {
		switch {
		case strings.HasPrefix(rest[i:], "{{"):
			inside++
		case strings.HasPrefix(rest[i:], "}}") && inside > 0:
			inside--
		case inside == 0 && strings.ContainsRune(`/\?#`, c):
			return i
		}
	}
	return len(rest)
}
