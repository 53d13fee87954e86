package httpprobe

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/theory/jsonpath"

	"github.com/postflight/postflight/verifier"
)

// LiveVersions returns the one version that a service's page names. A page that
// doesn't answer with 2xx, or names none, is an error.
func (m *Measurer) LiveVersions(ctx context.Context, from verifier.VersionSource, t verifier.Target) ([]string, error) {
	page, err := compile(verifier.ProbeStep{Method: http.MethodGet, URL: from.URL}, t)
	if err != nil {
		return nil, fmt.Errorf("render live_version: %w", err)
	}
	a, r := m.fetch(ctx, page, nil)
	switch {
	case r.unmeasured != "":
		return nil, verifier.Errorf(verifier.Unavailable, "live_version: %s", r.unmeasured)
	case len(r.failures) > 0:
		return nil, verifier.Errorf(verifier.Unavailable, "live_version: %s", strings.Join(r.failures, "; "))
	}
	version, err := versionIn(a.body, from.JSON)
	if err != nil {
		return nil, verifier.Errorf(verifier.Unavailable, "live_version: %w", err)
	}
	return []string{version}, nil
}

// versionIn reads the version at a path of a JSON body, or the whole body where
// there is no path.
func versionIn(body []byte, path string) (string, error) {
	if path == "" {
		version := strings.TrimSpace(string(body))
		if version == "" || len(version) > 200 || strings.ContainsAny(version, "\r\n<") {
			return "", fmt.Errorf("the answer is no version but %s", shown(version))
		}
		return version, nil
	}
	parsed, err := jsonpath.Parse(path)
	if err != nil {
		return "", fmt.Errorf("%q is no JSONPath: %w", path, err)
	}
	var document any
	if err := json.Unmarshal(body, &document); err != nil {
		return "", fmt.Errorf("the answer is no JSON: %w", err)
	}
	found := parsed.Select(document)
	if len(found) != 1 {
		return "", fmt.Errorf("%s selects %d values of the answer, and one is wanted", path, len(found))
	}
	version, ok := found[0].(string)
	if !ok || version == "" {
		return "", fmt.Errorf("%s is %s, which is no version", path, shown(found[0]))
	}
	return version, nil
}
