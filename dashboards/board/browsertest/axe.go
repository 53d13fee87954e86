package browsertest

import (
	_ "embed"
	"strings"

	"github.com/chromedp/cdproto/runtime"
)

//go:embed testdata/axe/axe.min.js
var axe string

// violation is what axe-core says of one rule that a page breaks.
type violation struct {
	ID     string `json:"id"`
	Impact string `json:"impact"`
	Help   string `json:"help"`
	Nodes  []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// Axe fails the test for everything that axe-core finds fault with on the page
// as it is now: its rules for WCAG 2.2 A and AA, and its best practices.
func (tab *Tab) Axe() {
	tab.t.Helper()
	var found []violation
	tab.Do(command(runtime.Evaluate, runtime.EvaluateParams{Expression: axe}))
	tab.Evaluate(`axe.run(document, {preload: false, resultTypes: ["violations"]}).then(r => r.violations)`, &found)
	for _, v := range found {
		var where []string
		for _, n := range v.Nodes {
			where = append(where, n.HTML+"\n"+n.Summary)
		}
		tab.t.Errorf("axe-core: %s (%s): %s\n%s", v.ID, v.Impact, v.Help, strings.Join(where, "\n"))
	}
}
