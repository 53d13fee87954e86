package app

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/configs"
	"github.com/postflight/postflight/verifier/intake"
)

// A format that may be configured is one that the intake understands.
func TestServedFormats(t *testing.T) {
	field, ok := reflect.TypeFor[configs.Source]().FieldByName("Format")
	require.True(t, ok)
	require.ElementsMatch(t, intake.Formats(), strings.Fields(field.Tag.Get("oneof")))
}

func TestSourcesAreMapped(t *testing.T) {
	all, err := sources([]configs.Source{{Name: "a", Format: "github", MaxBody: 5, Map: configs.Names{Service: "$.a", Environment: "production"}}})
	require.NoError(t, err)
	want, err := intake.NewMapping("$.a", "production", "")
	require.NoError(t, err)
	require.Equal(t, want, all[0].Map)
	_, err = sources([]configs.Source{{Name: "a", Map: configs.Names{Version: "$["}}})
	require.ErrorContains(t, err, `source "a": read map.version`)
	_, err = sources([]configs.Source{{Name: "a", Only: map[string]string{"$[": "x"}}})
	require.ErrorContains(t, err, `source "a": read only`)

	all, err = sources([]configs.Source{{Name: "a", Format: "native", Token: configs.NewSecret("new-token"), OldToken: configs.NewSecret("old-token"), Secret: configs.NewSecret("new-secret"), OldSecret: configs.NewSecret("old-secret")}})
	require.NoError(t, err)
	require.Equal(t, []string{"new-token", "old-token"}, all[0].Tokens)
	require.Equal(t, []string{"new-secret", "old-secret"}, all[0].Secrets)
}
