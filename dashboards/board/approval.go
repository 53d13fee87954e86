package board

import (
	"strings"

	"github.com/postflight/postflight/verifier"
)

// conditionLength is the longest condition that a verdict page shows, in
// characters; the record of the release has all of it.
const conditionLength = 200

// gateTrouble says that a deploy went against the gate's answer, nil where it
// did not.
func gateTrouble(d verifier.Deployment) *trouble {
	if d.Gate == nil || d.Gate.Decision == verifier.Go {
		return nil
	}
	why := strings.TrimRight(clean(strings.Join(d.Gate.Reasons, "; "), sentenceLength), ".")
	return &trouble{badge{"⚠", "no-go", "warn"}, "It was deployed against the gate's answer: " + why + "."}
}

// conditionsOf are the conditions under which a deploy was approved, at most
// that many, and how many are left out.
func conditionsOf(d verifier.Deployment, most int) (shown []string, more int) {
	all := d.Conditions()
	for _, c := range all[:min(len(all), most, 10)] {
		shown = append(shown, clean(c.Sentence(), conditionLength))
	}
	more = len(all) - len(shown)
	if d.Gate != nil {
		more += d.Gate.More
	}
	return shown, more
}
