package form

import (
	"strconv"
	"strings"
	"time"

	"cunban/kiosk/catalog"
	"cunban/kiosk/resident"
)

// Names of fields that the form knows by meaning (LD/T 6006 indicators).
const (
	fieldAddress  = "aac010" // registered address
	fieldDwelling = "aae006" // address where the person lives
	fieldVillage  = "aab301" // village of registration

	fieldAgentName   = "agent_name"
	fieldAgentNumber = "agent_idno"
)

// prefill fills every field that nobody touched yet.
func (f *Form) prefill() {
	for _, fd := range f.fields {
		if old, ok := f.answers[fd.Name]; ok && old.Source == catalog.FromUser || isCapture(fd.Type) {
			continue
		}
		if v, ok := f.machine(fd); ok {
			if old := f.answers[fd.Name]; v.Source != catalog.FromDevice || old.IsZero() || old.Source == catalog.FromDevice {
				f.answers[fd.Name] = v
			}
		} else if f.answers[fd.Name].Source == catalog.FromDevice {
			delete(f.answers, fd.Name)
		}
	}
}

// isCapture tells whether a device or a person's consent makes the answer, so
// that no register and no default may.
func isCapture(t catalog.FieldType) bool {
	switch t {
	case catalog.DocScan, catalog.Photo, catalog.Face, catalog.Signature, catalog.PIN, catalog.Consent:
		return true
	case catalog.Text, catalog.IDNo, catalog.Phone, catalog.Date, catalog.Month, catalog.Year, catalog.Number,
		catalog.Money, catalog.Select, catalog.MultiSelect, catalog.Bool, catalog.Region6, catalog.Region12,
		catalog.BankCard, catalog.BackendSelect, catalog.Table, catalog.VoiceText:
		return false
	}
	return false
}

// machine gives the answer that card, register or default have for a field, in
// this order. A value that the field's type cannot hold is as good as none.
func (f *Form) machine(fd *catalog.Field) (Value, bool) {
	for _, try := range []struct {
		src  catalog.Source
		text string
	}{
		{catalog.FromCard, f.fromClaim(fd)},
		{catalog.FromBackend, f.ctx.Backend[fd.Name]},
		f.preset(fd),
	} {
		if try.text == "" {
			continue
		}
		v := tidy(fd, Value{Text: try.text})
		v.Source = try.src
		if f.malformed(fd, v) == nil {
			return v, true
		}
	}
	return Value{}, false
}

// fromClaim gives what the card says for a field, "" when it does not say it.
func (f *Form) fromClaim(fd *catalog.Field) string {
	c := f.ctx.Claim
	switch fd.Name {
	case fieldAgentName, fieldAgentNumber:
		c = f.ctx.Agent
	case "card_no":
		return c.CardNumber
	}
	if fd.Source != catalog.FromCard {
		return ""
	}
	switch fd.Name {
	case "aac003", "apply_name", fieldAgentName:
		if c.NameExact {
			return c.Name.Reveal()
		}
	case "aac002", "apply_idno", fieldAgentNumber:
		return c.Number.Reveal()
	case "aac004":
		if c.Sex == "1" || c.Sex == "2" {
			return c.Sex
		}
		return c.Number.Sex()
	case "aac005":
		if n, err := strconv.Atoi(c.Ethnic); err == nil && n > 0 {
			return pad2(n)
		}
	case "aac006":
		if d, err := time.Parse("20060102", c.BirthDate); err == nil {
			return d.Format(catalog.DateLayout)
		}
		if d := c.Number.BirthDate(); !d.IsZero() {
			return d.Format(catalog.DateLayout)
		}
	case fieldAddress:
		return c.Address
	}
	return ""
}

// pad2 writes a GB/T 3304 number as the code lists do.
func pad2(n int) string {
	if n < 10 {
		return "0" + strconv.Itoa(n)
	}
	return strconv.Itoa(n)
}

// preset gives the catalogue's default for a field. It counts as the device's
// answer, except where the age on the card makes it one of the card.
func (f *Form) preset(fd *catalog.Field) (out struct {
	src  catalog.Source
	text string
}) {
	out.src, out.text = catalog.FromDevice, fd.Rules.Preset()
	switch {
	case out.text == catalog.DefaultRegion:
		out.text = f.ctx.Region
		if f.villageOnCard() {
			out.src = catalog.FromCard
		}
	case fd.Rules.AssumeFromAge > 0:
		n := f.ctx.Claim.Number
		if n.IsZero() || n.AgeOn(f.ctx.Today) < fd.Rules.AssumeFromAge {
			out.text = ""
		}
		out.src = catalog.FromCard
	case out.text == "" && fd.ReadOnly && fd.Type == catalog.Year:
		if lo, hi := fd.Rules.Bounds(); !lo.IsZero() && lo.Number(f.ctx.Today) == hi.Number(f.ctx.Today) {
			out.text = strconv.Itoa(int(lo.Number(f.ctx.Today)))
		}
	}
	return out
}

// villageOnCard tells whether the address on the ID card lies in the service
// point's own village, so that nobody need be asked.
func (f *Form) villageOnCard() bool {
	addr := f.ctx.Claim.Address
	if addr == "" || f.ctx.Divisions == nil || len(f.ctx.Region) != 12 {
		return false
	}
	d := f.ctx.Divisions
	county := strings.TrimPrefix(d.Name(f.ctx.Region[:6]), d.Name(f.ctx.Region[:4]))
	village := strings.TrimPrefix(d.Name(f.ctx.Region), d.Name(f.ctx.Region[:6])) // with its town: names repeat
	return county != "" && village != "" && strings.Contains(addr, county+village)
}

// derive fills what follows from other answers.
func (f *Form) derive() {
	for _, fd := range f.fields {
		v, have := f.answers[fd.Name]
		switch {
		case fd.ReadOnly && fd.Rules.Equals == "today":
			f.answers[fd.Name] = Value{Text: f.ctx.Today.Format(catalog.DateLayout), Source: catalog.FromDevice}
		case fd.ReadOnly && fd.Rules.Equals != "":
			if o := f.answers[fd.Rules.Equals]; o.Text != "" {
				f.answers[fd.Name] = Value{Text: o.Text, Source: o.Source}
			} else {
				delete(f.answers, fd.Name)
			}
		case have && v.Source != catalog.FromDevice:
		case fd.Name == fieldAddress && fd.Source == catalog.FromCard:
			f.suggest(fd, f.divisionName(f.answers[fieldVillage].Text))
		case fd.Name == fieldDwelling:
			if a := f.answers[fieldAddress]; a.Text != "" {
				f.suggest(fd, a.Text)
			} else {
				f.suggest(fd, f.divisionName(f.ctx.Region))
			}
		}
	}
}

func (f *Form) suggest(fd *catalog.Field, text string) {
	if text != "" {
		f.answers[fd.Name] = Value{Text: text, Source: catalog.FromDevice}
	}
}

func (f *Form) divisionName(code string) string {
	if f.ctx.Divisions == nil || code == "" {
		return ""
	}
	return f.ctx.Divisions.Name(code)
}

// settled tells whether a field needs no page: card or register filled it, or
// a default that nobody needs to look at before the review.
func (f *Form) settled(fd *catalog.Field) bool {
	v := f.answers[fd.Name]
	if v.IsZero() || isCapture(fd.Type) || f.mend[fd.Name] {
		return false
	}
	if p := first(f.meaning(fd, v)); p != nil && !p.Warn {
		return false // what cannot stay must be open
	}
	switch v.Source {
	case catalog.FromCard, catalog.FromBackend:
		return true
	case catalog.FromDevice:
		return fd.ReadOnly || fd.Name == fieldAddress || fd.Source == catalog.FromBackend && !fd.Required
	case catalog.FromUser:
		return fd.ReadOnly && fd.Rules.Equals != ""
	}
	return false
}

// locked tells whether nobody at the screen may change the answer.
func (f *Form) locked(fd *catalog.Field) bool {
	return fd.ReadOnly && f.settled(fd)
}

// Editable tells whether the answer may be changed from the review page.
func (f *Form) Editable(field string) bool {
	if f.material(field) != nil {
		return true
	}
	fd := f.Field(field)
	return fd != nil && !f.locked(fd) && f.Visible(fd)
}

// atCounty tells whether a field is the county's to know: a person is not
// asked for it, and upstream could not be reached.
func (f *Form) atCounty(fd *catalog.Field) bool {
	return fd.ReadOnly && fd.Source == catalog.FromBackend && f.answers[fd.Name].IsZero()
}

// SourceOf says in plain words where the answer to a field comes from, "" when
// the person gave it.
func (f *Form) SourceOf(field string) string {
	src := f.answers[field].Source
	if src == catalog.FromCard && strings.HasPrefix(field, "agent_") {
		return claimText(f.ctx.Agent.Source)
	}
	return f.SourceText(src)
}

// SourceText is SourceOf for an answer of the applicant.
func (f *Form) SourceText(src catalog.Source) string {
	switch src {
	case catalog.FromCard:
		return claimText(f.ctx.Claim.Source)
	case catalog.FromBackend:
		return "县里查到的"
	case catalog.FromDevice:
		return "机器先填的"
	case catalog.FromUser:
	}
	return ""
}

func claimText(src resident.Source) string {
	switch src {
	case resident.FromSocialCard:
		return "来自社保卡"
	case resident.FromIDCard:
		return "来自身份证"
	case resident.FromTyped:
		return "工作人员录入"
	}
	return "来自卡"
}
