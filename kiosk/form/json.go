package form

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"cunban/kiosk/catalog"
)

// ErrAnswers is returned by Load for answers that are no form's answers.
var ErrAnswers = errors.New("form: not the answers of a form")

// maxJSON bounds what Load reads, in bytes.
const maxJSON = 1 << 20

// document is the canonical form: keys of maps are sorted by encoding/json,
// members stand in the order written here.
type document struct {
	Agent     bool             `json:"agent,omitempty"`
	Fields    map[string]entry `json:"fields"`
	Materials map[string]entry `json:"materials"`
}

// entry is one answer: v is a text, a list of codes or a list of rows.
type entry struct {
	V        json.RawMessage `json:"v,omitempty"`
	Pages    int             `json:"pages,omitempty"`
	Strokes  int             `json:"strokes,omitempty"`
	Deferred bool            `json:"deferred,omitempty"`
	Source   catalog.Source  `json:"src,omitempty"`
}

// JSON is the canonical form of the visible answers: the same answers give the
// same bytes. PINs and other values the catalogue forbids to store are left
// out. A question whose filled answer the person took away stays as an entry
// without a value, so that Load does not fill it again.
//
//	{"fields":{"aac003":{"v":"…","src":"card"},"hkb_scan":{"pages":2,"src":"device"}},"materials":{"营业执照":{"deferred":true,"src":"device"}}}
func (f *Form) JSON() ([]byte, error) {
	d := document{Agent: f.agent, Fields: map[string]entry{}, Materials: map[string]entry{}}
	for _, fd := range f.fields {
		v, ok := f.answers[fd.Name]
		if !ok || !f.Visible(fd) || fd.Rules.NeverStore || fd.Type == catalog.PIN {
			continue
		}
		e, err := pack(v)
		if err != nil {
			return nil, fmt.Errorf("encode answer %s: %w", fd.Name, err)
		}
		d.Fields[fd.Name] = e
	}
	for i := range f.svc.Materials {
		m := &f.svc.Materials[i]
		if v := f.answers[MaterialKey(m.Name)]; f.asksMaterial(m) && !v.IsZero() {
			d.Materials[m.Name] = entry{Pages: v.Pages, Deferred: v.Deferred, Source: v.Source}
		}
	}
	return encode(d)
}

// encode marshals without escaping, which would make < and & unreadable.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func pack(v Value) (entry, error) {
	e := entry{Pages: v.Pages, Strokes: v.Strokes, Deferred: v.Deferred, Source: v.Source}
	var val any
	switch {
	case v.Text != "":
		val = v.Text
	case len(v.List) > 0:
		val = v.List
	case len(v.Rows) > 0:
		val = v.Rows
	default:
		return e, nil
	}
	var err error
	e.V, err = encode(val)
	return e, err
}

// unpack reads an entry into the shape of the field's type.
func (e entry) unpack(fd *catalog.Field) (Value, error) {
	v := Value{Pages: e.Pages, Strokes: e.Strokes, Deferred: e.Deferred}
	if len(e.V) > 0 && string(e.V) != "null" {
		var err error
		switch fd.Type {
		case catalog.MultiSelect:
			err = json.Unmarshal(e.V, &v.List)
		case catalog.Table:
			err = json.Unmarshal(e.V, &v.Rows)
		case catalog.Text, catalog.IDNo, catalog.Phone, catalog.Date, catalog.Month, catalog.Year, catalog.Number,
			catalog.Money, catalog.Select, catalog.Bool, catalog.Region6, catalog.Region12, catalog.BankCard,
			catalog.DocScan, catalog.Photo, catalog.Face, catalog.Signature, catalog.Consent, catalog.PIN,
			catalog.BackendSelect, catalog.VoiceText:
			err = json.Unmarshal(e.V, &v.Text)
		}
		if err != nil {
			return v, err
		}
	}
	v = tidy(fd, v)
	if !isCapture(fd.Type) {
		switch e.Source {
		case catalog.FromCard, catalog.FromBackend, catalog.FromDevice:
			v.Source = e.Source
		case catalog.FromUser:
		default:
			return v, fmt.Errorf("source %q is unknown", e.Source)
		}
	}
	return v, nil
}

// Load opens a returned case: the answers are those that JSON wrote, and mend
// names the fields (or materials) the county wants mended; these are open even
// where a card filled them. Answers of fields that this version of the
// catalogue does not have are left out; everything else wrong is an error that
// wraps ErrAnswers.
func Load(svc *catalog.Service, cat *catalog.Catalogue, ctx Context, data []byte, mend []string) (*Form, error) {
	if len(data) > maxJSON {
		return nil, fmt.Errorf("%w: %d bytes are too many", ErrAnswers, len(data))
	}
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswers, err)
	}
	f := begin(svc, cat, ctx, d.Agent)
	for _, m := range mend {
		f.mend[m] = true
		f.mend[MaterialKey(m)] = true
	}
	for name, e := range d.Fields {
		fd := f.Field(name)
		if fd == nil {
			continue
		}
		v, err := e.unpack(fd)
		if err != nil {
			return nil, fmt.Errorf("%w: answer %s: %w", ErrAnswers, name, err)
		}
		f.answers[name] = v
	}
	for name, e := range d.Materials {
		if key := MaterialKey(name); f.material(key) != nil {
			f.answers[key] = Value{Pages: min(max(0, e.Pages), maxPage), Deferred: e.Deferred && e.Pages <= 0, Source: catalog.FromDevice}
		}
	}
	f.refresh()
	return f, nil
}
