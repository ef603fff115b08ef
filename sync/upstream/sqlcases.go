package upstream

import "math"

const caseCols = `id, terminal, revision, service, region, mode, staff, demo, state, acceptance, accepted_at, received_at, updated_at, due, note, mend, claim`

func caseDest(c *Case) []any {
	return []any{&c.ID, &c.Terminal, &c.Revision, &c.Service, &c.Region, &c.Mode, &c.Staff, truth{&c.Demo}, &c.State,
		&c.Acceptance, moment{&c.AcceptedAt}, moment{&c.ReceivedAt}, moment{&c.UpdatedAt}, &c.Due, &c.Note,
		fromJSON{&c.Mend}, &c.Claim}
}

func (t *sqlTx) Case(id string) (c Case, err error) {
	if err = t.hold("case/" + id); err != nil {
		return c, err
	}
	err = t.row("case "+id, `SELECT `+caseCols+` FROM cases WHERE id = ?`+t.lock, caseDest(&c), id)
	return c, err
}

var putCase = upsert("cases", []string{"id"}, []string{"terminal", "revision", "service", "region", "mode", "staff", "demo",
	"state", "acceptance", "accepted_at", "received_at", "updated_at", "due", "note", "mend", "claim"})

func (t *sqlTx) PutCase(c Case) error {
	return t.exec("case", putCase, c.ID, c.Terminal, c.Revision, c.Service, c.Region, c.Mode, c.Staff, num(c.Demo),
		string(c.State), c.Acceptance, micros(c.AcceptedAt), micros(c.ReceivedAt), micros(c.UpdatedAt), c.Due, c.Note,
		asJSON(c.Mend), string(c.Claim))
}

func (t *sqlTx) Cases(q CaseQuery) (out []Case, err error) {
	where, args := `WHERE 1 = 1`, []any{}
	if q.State != "" {
		where, args = where+` AND state = ?`, append(args, string(q.State))
	}
	if q.Demo {
		where += ` AND demo = 1`
	}
	if q.Prefix != "" {
		where, args = where+` AND (id = ? OR acceptance = ?)`, append(args, q.Prefix, q.Prefix)
	}
	limit := q.Limit
	if limit <= 0 {
		limit = math.MaxInt32
	}
	err = t.rows("cases", `SELECT `+caseCols+` FROM cases `+where+` ORDER BY received_at DESC, id LIMIT ?`, func() ([]any, func()) {
		c := new(Case)
		return caseDest(c), func() { out = append(out, *c) }
	}, append(args, limit)...)
	return out, err
}

const revisionCols = `case_id, revision, terminal, digest, key_id, catalogue, started_at, saved_at, received_at, accepted_at, acceptance, due, claim, handed, outstanding`

func revisionDest(r *Revision) []any {
	return []any{&r.CaseID, &r.Revision, &r.Terminal, &r.Digest, &r.KeyID, &r.Catalogue, moment{&r.StartedAt},
		moment{&r.SavedAt}, moment{&r.ReceivedAt}, moment{&r.AcceptedAt}, &r.Acceptance, &r.Due, &r.Claim,
		truth{&r.Handed}, fromJSON{&r.Outstanding}}
}

func (t *sqlTx) Revision(caseID string, revision int) (r Revision, err error) {
	if err = t.hold("case/" + caseID); err != nil {
		return r, err
	}
	err = t.row("revision", `SELECT `+revisionCols+`, envelope, body FROM revisions WHERE case_id = ? AND revision = ?`+t.lock,
		append(revisionDest(&r), &r.Envelope, &r.Body), caseID, revision)
	return r, err
}

var putRevision = upsert("revisions", []string{"case_id", "revision"}, []string{"terminal", "digest", "key_id", "catalogue",
	"started_at", "saved_at", "received_at", "accepted_at", "acceptance", "due", "claim", "handed", "outstanding",
	"envelope", "body"})

func (t *sqlTx) PutRevision(r Revision) error {
	return t.exec("revision", putRevision, r.CaseID, r.Revision, r.Terminal, r.Digest, r.KeyID, r.Catalogue,
		micros(r.StartedAt), micros(r.SavedAt), micros(r.ReceivedAt), micros(r.AcceptedAt), r.Acceptance, r.Due,
		string(r.Claim), num(r.Handed), asJSON(r.Outstanding), blob(r.Envelope), blob(r.Body))
}

func (t *sqlTx) Unhanded(limit int) (out []Revision, err error) {
	err = t.rows("revisions", `SELECT `+revisionCols+` FROM revisions WHERE handed = 0 AND accepted_at > 0
		ORDER BY received_at LIMIT ?`, func() ([]any, func()) {
		r := new(Revision)
		return revisionDest(r), func() { out = append(out, *r) }
	}, limit)
	return out, err
}

func (t *sqlTx) MarkHanded(caseID string, revision int) error {
	return t.exec("revision", `UPDATE revisions SET handed = 1 WHERE case_id = ? AND revision = ?`, caseID, revision)
}

func (t *sqlTx) Files(caseID string, revision int) (out []File, err error) {
	err = t.rows("files", `SELECT case_id, revision, name, ord, material, page, mime, size, digest, done_at FROM files
		WHERE case_id = ? AND revision = ? ORDER BY ord`, func() ([]any, func()) {
		f := new(File)
		return []any{&f.CaseID, &f.Revision, &f.Name, &f.Order, &f.Material, &f.Page, &f.MIME, &f.Size, &f.Digest,
			moment{&f.DoneAt}}, func() { out = append(out, *f) }
	}, caseID, revision)
	return out, err
}

var putFile = upsert("files", []string{"case_id", "revision", "name"},
	[]string{"ord", "material", "page", "mime", "size", "digest", "done_at"})

func (t *sqlTx) PutFile(f File) error {
	return t.exec("file", putFile, f.CaseID, f.Revision, f.Name, f.Order, f.Material, f.Page, f.MIME, f.Size, f.Digest, micros(f.DoneAt))
}

func (t *sqlTx) AddEvent(e CaseEvent) error {
	return t.exec("event", `INSERT INTO events (case_id, n, revision, at, state, text, done_by)
		SELECT ?, COALESCE(MAX(n), 0) + 1, ?, ?, ?, ?, ? FROM events WHERE case_id = ?`,
		e.CaseID, e.Revision, micros(e.At), string(e.State), e.Text, e.By, e.CaseID)
}

func (t *sqlTx) Events(caseID string) (out []CaseEvent, err error) {
	err = t.rows("events", `SELECT case_id, revision, at, state, text, done_by FROM events WHERE case_id = ? ORDER BY n`,
		func() ([]any, func()) {
			e := new(CaseEvent)
			return []any{&e.CaseID, &e.Revision, moment{&e.At}, &e.State, &e.Text, &e.By}, func() { out = append(out, *e) }
		}, caseID)
	return out, err
}

const uploadCols = `id, terminal, case_id, revision, name, size, digest, at, done`

func uploadDest(u *Upload) []any {
	return []any{&u.ID, &u.Terminal, &u.CaseID, &u.Revision, &u.Name, &u.Size, &u.Digest, moment{&u.At}, truth{&u.Done}}
}

func (t *sqlTx) Upload(id string) (u Upload, err error) {
	err = t.row("upload", `SELECT `+uploadCols+` FROM uploads WHERE id = ?`+t.lock, uploadDest(&u), id)
	return u, err
}

func (t *sqlTx) UploadOf(caseID string, revision int, name string) (u Upload, err error) {
	if err = t.hold("case/" + caseID); err != nil {
		return u, err
	}
	err = t.row("upload", `SELECT `+uploadCols+` FROM uploads WHERE case_id = ? AND revision = ? AND name = ?`+t.lock,
		uploadDest(&u), caseID, revision, name)
	return u, err
}

var putUpload = upsert("uploads", []string{"id"}, []string{"terminal", "case_id", "revision", "name", "size", "digest", "at", "done"})

func (t *sqlTx) PutUpload(u Upload) error {
	return t.exec("upload", putUpload, u.ID, u.Terminal, u.CaseID, u.Revision, u.Name, u.Size, u.Digest, micros(u.At), num(u.Done))
}

func (t *sqlTx) DeleteUpload(id string) error {
	return t.exec("upload", `DELETE FROM uploads WHERE id = ?`, id)
}
