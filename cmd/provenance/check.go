package main

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Names within the folder of a release.
const (
	sumsFile       = "SHA256SUMS"
	statementFile  = "provenance.intoto.json"
	materialSuffix = ".cdx.json" // the bill of materials of a binary
)

// checkRelease checks a folder by itself: each binary has its sum, is a subject
// of the statement, and every module in it is in its bill of materials.
func checkRelease(dir string) error {
	var s statement
	if err := readJSON(filepath.Join(dir, statementFile), &s); err != nil {
		return err
	}
	if s.Type != statementType || s.PredicateType != predicateType {
		return fmt.Errorf("%s is a %s about %s", statementFile, s.Type, s.PredicateType)
	}
	text, err := os.ReadFile(filepath.Join(dir, sumsFile)) // #nosec G304 -- named by who runs it
	if err != nil {
		return fmt.Errorf("read sums: %w", err)
	}
	sums := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if sum, name, ok := strings.Cut(strings.TrimSpace(line), "  "); ok {
			sums[name] = sum
		}
	}
	var problems []error
	for name, sum := range sums {
		if got, err := digestOf(filepath.Join(dir, name)); err != nil || got != sum {
			problems = append(problems, fmt.Errorf("%s is not what %s says", name, sumsFile), err)
		}
	}
	if len(s.Subject) == 0 {
		problems = append(problems, errors.New("the statement is about nothing"))
	}
	for _, subject := range s.Subject {
		if sums[subject.Name] != subject.Digest["sha256"] {
			problems = append(problems, fmt.Errorf("%s: the statement and %s differ", subject.Name, sumsFile))
		}
		problems = append(problems, checkMaterials(filepath.Join(dir, subject.Name)))
	}
	return errors.Join(problems...)
}

// checkMaterials checks that a binary's bill of materials names what is in it.
func checkMaterials(binary string) error {
	var bom struct {
		Format     string `json:"bomFormat"`
		Version    string `json:"specVersion"`
		Components []struct {
			PURL string `json:"purl"`
		} `json:"components"`
	}
	if err := readJSON(binary+materialSuffix, &bom); err != nil {
		return err
	}
	if bom.Format != "CycloneDX" || bom.Version == "" {
		return fmt.Errorf("%s is no bill of materials of CycloneDX", binary+materialSuffix)
	}
	named := map[string]bool{}
	for _, c := range bom.Components {
		base, _, _ := strings.Cut(c.PURL, "?") // ?type=module
		if plain, err := url.PathUnescape(base); err == nil {
			base = plain
		}
		named[strings.ToLower(base)] = true
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("read how %s was built: %w", binary, err)
	}
	var problems []error
	for _, m := range info.Deps {
		if !named[strings.ToLower(purl(m))] {
			problems = append(problems, fmt.Errorf("%s lacks %s", filepath.Base(binary)+materialSuffix, purl(m)))
		}
	}
	return errors.Join(problems...)
}

func readJSON(file string, into any) error {
	b, err := os.ReadFile(file) // #nosec G304 -- named by who runs it
	if err != nil {
		return fmt.Errorf("read release: %w", err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return nil
}
