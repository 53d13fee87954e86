package api

import (
	"net/http"
	"reflect"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/require"
)

// Two daemons in one process share huma's table of formats: New reads it and
// changes a copy.
func TestHumasFormatsStayAsTheyAre(t *testing.T) {
	decoders := func() map[string]uintptr {
		out := map[string]uintptr{}
		for name, format := range huma.DefaultFormats {
			out[name] = reflect.ValueOf(format.Unmarshal).Pointer()
		}
		return out
	}
	before := decoders()
	New(http.NewServeMux(), "test")
	require.NotEmpty(t, before)
	require.Equal(t, before, decoders())
}
