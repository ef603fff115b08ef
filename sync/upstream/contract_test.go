package upstream

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"cunban/sync/wire"
)

// TestHandlersServeTheContract checks the handlers against wire.Patterns and
// the OpenAPI document, operation by operation, and who may call them.
func TestHandlersServeTheContract(t *testing.T) {
	dir := t.TempDir()
	s, err := NewServer(testCounty(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(wire.OpenAPI, &doc); err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{} // pattern → open to anybody
	for path, ops := range doc.Paths {
		for method, op := range ops {
			m := strings.ToUpper(method)
			if !slices.Contains([]string{"GET", "PUT", "POST", "PATCH", "HEAD", "DELETE", "OPTIONS"}, m) {
				continue
			}
			open := false
			if sec, ok := op.(map[string]any)["security"].([]any); ok {
				open = len(sec) == 0 || len(sec) == 1 && hasKey(sec[0], "oneTimeCode")
			}
			written[m+" "+path] = open
		}
	}
	for pattern, open := range written {
		a, ok := s.routes[pattern]
		if !ok {
			t.Errorf("%s is in the document but not served", pattern)
			continue
		}
		if (a == accessOpen) != open {
			t.Errorf("%s: open to anybody is %v here and %v in the document", pattern, a == accessOpen, open)
		}
	}
	for pattern := range s.routes {
		if _, ok := written[pattern]; !ok {
			t.Errorf("%s is served but not in the document", pattern)
		}
		if !slices.Contains(wire.Patterns, pattern) {
			t.Errorf("%s is served but not in wire.Patterns", pattern)
		}
		method, path, _ := strings.Cut(pattern, " ")
		for _, w := range []string{"{terminal}", "{case}", "{revision}", "{upload}"} {
			path = strings.ReplaceAll(path, w, "x")
		}
		r, err := http.NewRequestWithContext(t.Context(), method, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, got := s.mux.Handler(r); got != pattern {
			t.Errorf("%s %s goes to %q", method, path, got)
		}
	}
	if len(s.routes) != len(wire.Patterns) {
		t.Errorf("%d routes, %d patterns", len(s.routes), len(wire.Patterns))
	}
}

func hasKey(v any, key string) bool {
	m, ok := v.(map[string]any)
	_, has := m[key]
	return ok && has
}
