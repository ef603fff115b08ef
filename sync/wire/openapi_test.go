package wire

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// types are the Go types that have a schema of the same name.
var types = map[string]any{
	"CasePut": CasePut{}, "FileRef": FileRef{}, "CaseReply": CaseReply{}, "Batch": Batch{}, "BatchReply": BatchReply{},
	"BatchItem": BatchItem{}, "Changes": Changes{}, "Change": Change{}, "CaseUpdate": CaseUpdate{}, "Mend": Mend{},
	"StaffAccount": StaffAccount{}, "Revocation": Revocation{}, "Query": Query{}, "Answer": Answer{},
	"VerifyClaimIn": VerifyClaimIn{}, "VerifyClaimOut": VerifyClaimOut{}, "CaseAnswersIn": CaseAnswersIn{},
	"CaseAnswersOut": CaseAnswersOut{}, "RecordsIn": RecordsIn{}, "RecordsOut": RecordsOut{}, "Pair": Pair{},
	"PrefillIn": PrefillIn{}, "PrefillOut": PrefillOut{}, "ListIn": ListIn{}, "ListOut": ListOut{}, "Pong": Pong{},
	"Health": Health{}, "Device": Device{}, "Queue": Queue{}, "Disk": Disk{}, "Fault": Fault{}, "Rating": Rating{}, "HealthReply": HealthReply{},
	"CheckpointPut": CheckpointPut{}, "CheckpointReply": CheckpointReply{}, "EnrolPending": EnrolPending{},
	"Identity": Identity{}, "Problem": Problem{}, "FieldError": FieldError{},
}

type document struct {
	OpenAPI string `yaml:"openapi"`
	Info    struct {
		Version string `yaml:"version"`
	} `yaml:"info"`
	Paths      map[string]map[string]any `yaml:"paths"`
	Components struct {
		Schemas map[string]schema `yaml:"schemas"`
	} `yaml:"components"`
}

type schema struct {
	Type       any               `yaml:"type"`
	Properties map[string]schema `yaml:"properties"`
	Required   []string          `yaml:"required"`
	Enum       []string          `yaml:"enum"`
	Pattern    string            `yaml:"pattern"`
	Ref        string            `yaml:"$ref"`
	Encoding   string            `yaml:"contentEncoding"`
}

func load(t *testing.T) document {
	t.Helper()
	var d document
	if err := yaml.Unmarshal(OpenAPI, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOpenAPIHead(t *testing.T) {
	d := load(t)
	if !strings.HasPrefix(d.OpenAPI, "3.1.") || d.Info.Version != Version {
		t.Errorf("OpenAPI %s of contract %s, want 3.1 of %s", d.OpenAPI, d.Info.Version, Version)
	}
}

// TestOpenAPIPaths: the operations of the document are those of Patterns.
func TestOpenAPIPaths(t *testing.T) {
	var got []string
	for path, ops := range load(t).Paths {
		for op := range ops {
			if op != "parameters" {
				got = append(got, strings.ToUpper(op)+" "+path)
			}
		}
	}
	want := slices.Clone(Patterns)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("document: %v\ncode:     %v", got, want)
	}
}

// TestOpenAPITypes: every schema has the properties of its Go type, requires
// exactly those without omitempty, and calls them the same kind of JSON.
func TestOpenAPITypes(t *testing.T) {
	d := load(t)
	for name, v := range types {
		s, ok := d.Components.Schemas[name]
		if !ok {
			t.Errorf("%s has no schema", name)
			continue
		}
		rt := reflect.TypeOf(v)
		fields := map[string]bool{}
		for i := range rt.NumField() {
			f := rt.Field(i)
			tag, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
			if tag == "" || tag == "-" {
				t.Errorf("%s.%s has no name in JSON", name, f.Name)
				continue
			}
			fields[tag] = true
			p, ok := s.Properties[tag]
			if !ok {
				t.Errorf("%s.%s is not in the document", name, tag)
				continue
			}
			if must, omit := slices.Contains(s.Required, tag), opts == "omitempty"; must == omit {
				t.Errorf("%s.%s: required is %v, omitempty is %v", name, tag, must, omit)
			}
			if want, got := jsonType(f.Type), d.jsonType(p); want != "" && got != "" && want != got {
				t.Errorf("%s.%s is %s in the code and %s in the document", name, tag, want, got)
			}
		}
		for p := range s.Properties {
			if !fields[p] {
				t.Errorf("%s.%s is in the document only", name, p)
			}
		}
	}
	for name, s := range d.Components.Schemas {
		if _, ok := types[name]; !ok && len(s.Properties) > 0 {
			t.Errorf("schema %s has no Go type", name)
		}
	}
}

func jsonType(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "string"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		if t.Name() == "RawMessage" {
			return "" // anything
		}
		return "string"
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64:
		return "integer"
	case reflect.Slice:
		return "array"
	case reflect.Struct, reflect.Map:
		return "object"
	}
	return t.Kind().String()
}

func (d document) jsonType(s schema) string {
	if n, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return d.jsonType(d.Components.Schemas[n])
	}
	if len(s.Enum) > 0 {
		return "string"
	}
	switch v := s.Type.(type) {
	case string:
		return v
	case []any:
		return v[0].(string)
	}
	return ""
}

// TestOpenAPISets: the closed sets are the same on both sides.
func TestOpenAPISets(t *testing.T) {
	d := load(t)
	enum := func(name, prop string) []string { return d.Components.Schemas[name].Properties[prop].Enum }
	check := func(what string, doc []string, code []string) {
		t.Helper()
		doc, code = slices.Clone(doc), slices.Clone(code)
		slices.Sort(doc)
		slices.Sort(code)
		if !slices.Equal(doc, code) {
			t.Errorf("%s: document %v, code %v", what, doc, code)
		}
	}
	check("codes", enum("Problem", "code"), words(Codes))
	check("kinds", enum("Change", "kind"), words(Kinds))
	check("query kinds", enum("Query", "kind"), words(QueryKinds))
	check("answer kinds", enum("Answer", "kind"), words(QueryKinds))
	check("case states", enum("CaseReply", "state"), words(CaseStates))
	for name, re := range map[string]string{"TerminalID": reTerminal.String(), "CaseID": reCaseID.String(),
		"Region": reRegion.String(), "FileName": reFileName.String(), "ObjectID": reObjectID.String()} {
		if got := d.Components.Schemas[name].Pattern; got != re {
			t.Errorf("%s: document %s, code %s", name, got, re)
		}
	}
}

func words[S ~string](list []S) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

// TestProblemTable: every code has its row.
func TestProblemTable(t *testing.T) {
	for _, c := range Codes {
		p := NewProblem(c, "")
		if p.Code != c || p.Status < 400 || p.Title == "" {
			t.Errorf("%s: %+v", c, p)
		}
	}
	if len(codes) != len(Codes) {
		t.Errorf("%d rows for %d codes", len(codes), len(Codes))
	}
	if p := NewProblem("no-such", ""); p.Code != CodeServer {
		t.Errorf("an unknown code became %s", p.Code)
	}
}
