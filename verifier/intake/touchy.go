package intake

import (
	"errors"
	"net/http"
	"strings"

	"github.com/postflight/postflight/verifier"
)

// touchy is a format whose sender switches a hook off that refuses a few of its
// events. Whatever is wrong with one is said in a 200, in the log and by the
// metrics; strangers are refused all the same.
type touchy interface{ switchesOff() }

// taken returns the answer in place of an error that a touchy sender must not
// see; false where it may. An event that can't be stored now is refused: GitLab
// takes that for an outage of ours.
func (in *incoming) taken(err error) (*answer, bool) {
	if _, ok := in.format.(touchy); !ok || !in.known {
		return nil, false
	}
	result := resultOf(err)
	if result != Invalid && result != TooLarge && result != Conflict {
		return nil, false
	}
	return &answer{Status: http.StatusOK, Body: Receipt{Ignored: explain(err)}}, true
}

// explain writes an error and the fields that it names as one text.
func explain(err error) string {
	var known *verifier.Error
	if !errors.As(err, &known) {
		return err.Error()
	}
	parts := []string{known.Message}
	for _, f := range known.Fields {
		parts = append(parts, f.Field+" "+f.Message)
	}
	return strings.Join(parts, "; ")
}
