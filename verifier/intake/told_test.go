package intake

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/verifier"
)

// Python and Groovy write True and False, and to pass over a reversible that
// was meant as false could cost somebody their data.
func TestTruthsAsScriptsWriteThem(t *testing.T) {
	type read func(reversible, rollback string) (verifier.Notification, error)
	formats := map[string]struct {
		field string
		read  read
	}{
		"jenkins": {"build.parameters.REVERSIBLE", func(reversible, rollback string) (verifier.Notification, error) {
			n, _, err := decodeJenkins(t, "build.parameters.REVERSIBLE", reversible, "build.parameters.ROLLBACK", rollback)
			return n, err
		}},
		"spinnaker": {"content.execution.trigger.parameters.reversible", func(reversible, rollback string) (verifier.Notification, error) {
			n, _, err := decodeSpinnaker(t, "content.execution.trigger.parameters.reversible", reversible, "content.execution.trigger.parameters.rollback", rollback)
			return n, err
		}},
		"spinnaker, payload": {"content.execution.trigger.payload.reversible", func(reversible, rollback string) (verifier.Notification, error) {
			n, _, err := decodeSpinnaker(t, "content.execution.trigger.payload", `{"reversible":`+reversible+`,"rollback":`+rollback+`}`)
			return n, err
		}},
		"github": {"deployment.payload.reversible", func(reversible, rollback string) (verifier.Notification, error) {
			n, _, err := decodeGitHub(t, "deployment.payload", `{"reversible":`+reversible+`,"rollback":`+rollback+`}`)
			return n, err
		}},
		"cdevents": {"customData.reversible", func(reversible, rollback string) (verifier.Notification, error) {
			body := `{"context":{"id":"1","source":"/s","type":"dev.cdevents.service.deployed.0.3.0"},"subject":{"id":"a","content":{"environment":{"id":"b"},"artifactId":"pkg:oci/a@1"}},` +
				`"customData":{"reversible":` + reversible + `,"rollback":` + rollback + `}}`
			n, _, err := cdevents{}.decode(http.Header{}, []byte(body), Mapping{})
			return n, err
		}},
	}
	for name, f := range formats {
		t.Run(name, func(t *testing.T) {
			for _, text := range []string{`"False"`, `"FALSE"`, `" false "`, `"false"`, `false`} {
				n, err := f.read(text, "null")
				require.NoError(t, err, text)
				require.True(t, n.Deployment.Irreversible, text)
			}
			for _, text := range []string{`"True"`, `"true"`, `true`, `""`, `null`} {
				n, err := f.read(text, text)
				require.NoError(t, err, text)
				require.False(t, n.Deployment.Irreversible, text)
				require.Equal(t, len(text) > 2 && text != "null", n.Deployment.Rollback, text)
			}
			for _, text := range []string{`"no"`, `"0"`, `0`, `"fasle"`} {
				_, err := f.read(text, "null")
				require.Equal(t, f.field, wrongFields(t, err), text)
			}
		})
	}
}
