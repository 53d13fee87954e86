package intake

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFormatsAreListed(t *testing.T) {
	require.Equal(t, []string{"alertmanager", "argocd", "cdevents", "flux", "github", "gitlab", "jenkins", "native", "spinnaker"}, Formats())
}

func ExampleFormats() {
	fmt.Println(Formats())
	// Output: [alertmanager argocd cdevents flux github gitlab jenkins native spinnaker]
}
