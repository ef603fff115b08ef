package upstream

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"cunban/sync/wire"
)

// caseList is the data of the list of cases.
type caseList struct {
	State  CaseState
	States []CaseState
	Cases  []CaseView
}

// listLimit is how many cases one page shows.
const listLimit = 200

func (p *Page) cases(w http.ResponseWriter, r *http.Request, v *view) error {
	d := caseList{State: CaseState(r.URL.Query().Get("state")), States: CaseStates}
	if d.State != "" && !slices.Contains(CaseStates, d.State) {
		return ErrNotFound
	}
	list, err := p.c.Cases(r.Context(), CaseQuery{State: d.State, Limit: listLimit})
	if err != nil {
		return err
	}
	for _, row := range list {
		d.Cases = append(d.Cases, p.c.View(row))
	}
	v.Title, v.Data = "办件", d
	p.render(w, http.StatusOK, "cases", v)
	return nil
}

type casePage struct {
	Record
	Terminal Terminal
	May      map[string]bool
	Revision int
}

func (p *Page) caseOne(w http.ResponseWriter, r *http.Request, v *view) error {
	d, err := p.c.OpenDossier(r.Context(), r.PathValue("id"), v.User.Number)
	if err != nil {
		return err
	}
	page := casePage{Record: p.c.Record(d, false), Terminal: d.Terminal, May: map[string]bool{}, Revision: d.Revision.Revision}
	for _, s := range May(d.Case.State) {
		page.May[string(s)] = true
	}
	v.Title, v.Data = "办件 "+d.Case.Acceptance, page
	p.render(w, http.StatusOK, "case", v)
	return nil
}

func (p *Page) caseDecide(w http.ResponseWriter, r *http.Request, v *view) error {
	id := r.PathValue("id")
	row, err := p.c.FindCase(r.Context(), id)
	if err != nil {
		return err
	}
	d := Decision{State: CaseState(r.PostForm.Get("to")), Note: strings.TrimSpace(r.PostForm.Get("note")), By: v.User.Number}
	if d.State == StateReturned {
		for key, vals := range r.PostForm {
			field, ok := strings.CutPrefix(key, "reason.")
			reason := strings.TrimSpace(strings.Join(vals, " "))
			if !ok || reason == "" {
				continue
			}
			label := p.c.FieldLabel(row.Service, field)
			if label == "" {
				label = field
			}
			if field == "" {
				label = "整件"
			}
			d.Mend = append(d.Mend, wire.Mend{Field: field, Label: label, Reason: reason})
		}
		slices.SortFunc(d.Mend, func(a, b wire.Mend) int { return strings.Compare(a.Field, b.Field) })
	}
	if _, err := p.c.Decide(r.Context(), row.ID, d); err != nil {
		return err
	}
	return back(w, r, "/cases/"+row.ID)
}

// shown are the types a browser shows by itself; anything else is downloaded.
var shown = []string{"image/jpeg", "image/png", "application/pdf"}

func (p *Page) caseFile(w http.ResponseWriter, r *http.Request, v *view) error {
	rev, err := strconv.Atoi(r.PathValue("revision"))
	if err != nil {
		return ErrNotFound
	}
	mime, plain, err := p.c.OpenFile(r.Context(), r.PathValue("id"), rev, r.PathValue("name"), v.User.Number)
	if err != nil {
		return err
	}
	defer clear(plain)
	p.bytes(w, mime, plain)
	return nil
}

func (p *Page) bytes(w http.ResponseWriter, mime string, b []byte) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	if !slices.Contains(shown, mime) {
		mime = "application/octet-stream"
		h.Set("Content-Disposition", "attachment")
	}
	h.Set("Content-Type", mime)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b) // the browser is gone or not
}

func (p *Page) caseSignature(w http.ResponseWriter, r *http.Request, v *view) error {
	d, err := p.c.OpenDossier(r.Context(), r.PathValue("id"), v.User.Number)
	if err != nil {
		return err
	}
	if len(d.Body.Signature) == 0 {
		return ErrNotFound
	}
	p.bytes(w, "image/png", d.Body.Signature)
	return nil
}
