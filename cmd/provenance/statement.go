package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Types of the statement and of what it says: https://in-toto.io/Statement/v1,
// https://slsa.dev/spec/v1.0/provenance.
const (
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://slsa.dev/provenance/v1"
	repository    = "https://github.com/postflight/postflight"
	// buildType is how external parameters are read: .ci/release with VERSION.
	buildType = repository + "/blob/main/.ci/release"
	// builder is whoever ran the recipe by hand: nobody vouches for them.
	builder = repository + "/blob/main/.ci/release#local"
)

type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     predicate  `json:"predicate"`
}

// resource is in-toto's ResourceDescriptor.
type resource struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest"`
}

type predicate struct {
	BuildDefinition struct {
		BuildType            string            `json:"buildType"`
		ExternalParameters   map[string]string `json:"externalParameters"`
		InternalParameters   map[string]string `json:"internalParameters"`
		ResolvedDependencies []resource        `json:"resolvedDependencies"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID string `json:"id"`
		} `json:"builder"`
		Metadata struct {
			StartedOn  time.Time `json:"startedOn"`
			FinishedOn time.Time `json:"finishedOn"`
		} `json:"metadata"`
	} `json:"runDetails"`
}

// recipe is what was asked to be built.
type recipe struct {
	version, commit string
	started         time.Time
}

// statement says where binaries come from: the commit, the toolchain and its
// settings, and every module that is in them, by the information that Go's
// linker left there.
func (r recipe) statement(binaries []string, now time.Time) (statement, error) {
	s := statement{Type: statementType, PredicateType: predicateType}
	d := &s.Predicate.BuildDefinition
	d.BuildType = buildType
	d.ExternalParameters = map[string]string{"version": r.version, "repository": repository}
	d.InternalParameters = map[string]string{}
	d.ResolvedDependencies = []resource{{URI: "git+" + repository + "@" + r.commit, Digest: map[string]string{"gitCommit": r.commit}}}
	modules := map[string]resource{}
	for _, file := range binaries {
		digest, err := digestOf(file)
		if err != nil {
			return s, err
		}
		s.Subject = append(s.Subject, resource{Name: filepath.Base(file), Digest: map[string]string{"sha256": digest}})
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			return s, fmt.Errorf("read how %s was built: %w", file, err)
		}
		d.InternalParameters["go"] = info.GoVersion
		for _, setting := range info.Settings {
			if slices.Contains([]string{"-trimpath", "-ldflags", "CGO_ENABLED"}, setting.Key) {
				d.InternalParameters[setting.Key] = setting.Value
			}
		}
		for _, m := range info.Deps {
			if modules[purl(m)], err = moduleOf(m); err != nil {
				return s, err
			}
		}
	}
	for _, m := range modules {
		d.ResolvedDependencies = append(d.ResolvedDependencies, m)
	}
	slices.SortFunc(d.ResolvedDependencies[1:], func(a, b resource) int { return strings.Compare(a.URI, b.URI) })
	s.Predicate.RunDetails.Builder.ID = builder
	s.Predicate.RunDetails.Metadata.StartedOn, s.Predicate.RunDetails.Metadata.FinishedOn = r.started.UTC(), now.UTC().Truncate(time.Second)
	return s, nil
}

// purl is a module's package URL.
func purl(m *debug.Module) string {
	if m.Replace != nil {
		m = m.Replace
	}
	return "pkg:golang/" + m.Path + "@" + m.Version
}

// moduleOf is a module with its hash of go.sum, in in-toto's form: hexadecimal,
// without h1:.
func moduleOf(m *debug.Module) (resource, error) {
	uri := purl(m)
	if m.Replace != nil {
		m = m.Replace
	}
	sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:"))
	if err != nil || len(sum) != sha256.Size {
		return resource{}, fmt.Errorf("module %s has no hash (%q): build without replaced folders", uri, m.Sum)
	}
	return resource{URI: uri, Digest: map[string]string{"goModuleH1": hex.EncodeToString(sum)}}, nil
}

func digestOf(file string) (string, error) {
	f, err := os.Open(file) // #nosec G304 -- named by who runs it
	if err != nil {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
