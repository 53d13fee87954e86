package board

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/postflight/postflight/verifier"
)

// prometheusLink returns the address of a signal's query in the expression
// browser of the Prometheus that answered it, over the time of the charts; ""
// where the signal has none, or its server is not configured any more. The
// parameters are those of the old expression browser, which Prometheus 3 still
// understands.
func (l look) prometheusLink(f verifier.Finding) string {
	server := webLink(l.servers[l.serverOf(f.Name)])
	query, _, _ := strings.Cut(f.Query, "\n# ") // what follows is the control group's
	if server == "" || strings.TrimSpace(query) == "" || len(query) > queryLinkLength {
		return ""
	}
	e, _ := l.evidenceOf(f.Name)
	from, to := l.span(e)
	if to.After(l.now) {
		to = l.now
	}
	minutes := max(10, int(to.Sub(from).Round(time.Minute)/time.Minute))
	return strings.TrimRight(server, "/") + "/graph?" + url.Values{
		"g0.expr": {query}, "g0.tab": {"0"}, "g0.range_input": {fmt.Sprintf("%dm", minutes)},
		"g0.end_input": {to.UTC().Format(time.DateTime)}, "g0.moment_input": {to.UTC().Format(time.DateTime)},
	}.Encode()
}

// queryLinkLength is the longest query that becomes a link, in bytes: servers
// refuse longer addresses.
const queryLinkLength = 4000

// serverOf names the Prometheus that a signal asks; "" where it asks none.
func (l look) serverOf(signal string) string {
	for _, s := range l.evidence.Policy.Signals {
		if s.Name == signal {
			return s.Server()
		}
	}
	return ""
}

// pageOf is the address of a verification's page.
func (l look) pageOf(v verifier.Verification) string {
	return l.prefix + "/verifications/" + url.PathEscape(v.ID)
}
