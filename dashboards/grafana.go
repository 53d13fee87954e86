package dashboards

import (
	"bytes"
	"embed"
	"io/fs"
	"net/http"
	"path"
	"time"
)

// RulesFile is the name of the alerting rules among Files.
const RulesFile = "rules.yml"

//go:embed grafana/overview.json grafana/service.json grafana/postflight.json grafana/rules.yml
var grafana embed.FS

// File is a dashboard for Grafana, as JSON that can be imported as it is, or
// the alerting rules for Prometheus.
type File struct {
	Name    string // such as overview.json
	Content []byte
}

// Files returns the dashboards and the rules, in alphabetical order.
func Files() ([]File, error) {
	names, err := fs.Glob(grafana, "grafana/*")
	if err != nil {
		return nil, err
	}
	out := make([]File, 0, len(names))
	for _, name := range names {
		content, err := grafana.ReadFile(name)
		if err != nil {
			return nil, err
		}
		out = append(out, File{path.Base(name), content})
	}
	return out, nil
}

// Download answers with the file that the path value "file" names; anything
// else is not found.
func Download(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	content, err := grafana.ReadFile("grafana/" + name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	kind := "application/json"
	if path.Ext(name) == ".yml" {
		kind = "application/yaml"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="postflight-`+name+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}
