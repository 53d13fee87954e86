package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInitSaysWhatAServerWantsThatRefuses(t *testing.T) {
	for status, wants := range map[int]bool{http.StatusUnauthorized: true, http.StatusForbidden: true, http.StatusBadGateway: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		s, _, errs := buffers()
		require.Equal(t, 1, run(t.Context(), []string{"init", "--config.file=-", "--prometheus=" + server.URL}, s), errs)
		require.Equal(t, wants, strings.Contains(errs.String(), "it wants credentials: --prometheus.bearer-token-file"), errs)
		server.Close()
	}
}
