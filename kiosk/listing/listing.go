// Package listing is the shape of what the county publishes for everybody:
// jobs, training courses, job fairs, public-welfare posts, policies and
// notices. Each is one JSON object that comes down the line (kinds job, course,
// event, post, policy and notice of sync/wire) or out of assets.Samples.
//
// It exists so that the page that shows an object, the form that offers it as
// a choice and the county that writes it mean the same by every key. Parsing is
// strict about what it knows (an object that would mislead somebody is refused
// whole) and takes no notice of keys it does not know, so that a newer county
// can say more to older terminals.
//
// Keys that all kinds share: "id" (letters, digits, . _ -), "title",
// "valid_until" (YYYY-MM-DD, the last day, "" = until it is taken down),
// "contact" (whom to ask, in words). Dates are YYYY-MM-DD, moments
// "YYYY-MM-DD HH:MM" in Beijing time, money whole yuan, codes those of the
// catalogue's code lists.
package listing

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"cunban/kiosk/catalog"
)

// ErrObject is wrapped by every error of this package.
var ErrObject = errors.New("listing: not a usable object")

// Bounds on what is shown on a page or offered as a choice.
const (
	maxBytes = 64 << 10
	maxTitle = 60   // characters
	maxLine  = 120  // characters of a line
	maxText  = 2000 // characters of a paragraph
	maxItems = 30   // lines of a list
	maxMoney = 10_000_000
	maxCount = 100_000
)

// Head is what all kinds share.
type Head struct {
	ID         string `json:"id"`
	Title      string `json:"title"`
	ValidUntil string `json:"valid_until,omitempty"`
	Contact    string `json:"contact,omitempty"`
}

// Open tells whether the object is still good on a day.
func (h Head) Open(today time.Time) bool {
	return h.ValidUntil == "" || today.Format(catalog.DateLayout) <= h.ValidUntil
}

func (h Head) check(c *checker) {
	if !objectID.MatchString(h.ID) {
		c.bad("id", h.ID)
	}
	c.text("title", h.Title, 1, maxTitle)
	c.date("valid_until", h.ValidUntil)
	c.text("contact", h.Contact, 0, maxLine)
}

// Job is a place of work on offer (招聘岗位).
type Job struct {
	Head
	Employer   string  `json:"employer"`
	Pay        string  `json:"pay"`               // in words: 3000 到 4000 元/月
	PayMin     int     `json:"pay_min,omitempty"` // yuan a month, 0 = by agreement
	PayMax     int     `json:"pay_max,omitempty"` // yuan a month, 0 = no upper end
	DistanceKM float64 `json:"distance_km"`       // by road from the county seat
	Place      string  `json:"place"`
	Region     string  `json:"region"`           // division code, 6, 9 or 12 digits
	Kind       string  `json:"kind"`             // code list job_category
	Form       string  `json:"form,omitempty"`   // code list employ_form
	People     int     `json:"people,omitempty"` // how many are wanted
	Needs      string  `json:"needs,omitempty"`  // what the person must bring along
	Gives      string  `json:"gives,omitempty"`  // board, lodging, insurance
	How        string  `json:"how,omitempty"`    // how to apply
}

// ParseJob reads and checks a job. Errors wrap ErrObject.
func ParseJob(data []byte) (Job, error) {
	return parse(data, func(j *Job, c *checker) {
		j.check(c)
		c.text("employer", j.Employer, 1, maxTitle)
		c.text("pay", j.Pay, 1, maxTitle)
		c.number("pay_min", j.PayMin, maxMoney)
		c.number("pay_max", j.PayMax, maxMoney)
		if j.PayMax > 0 && j.PayMin > j.PayMax {
			c.bad("pay_max", fmt.Sprint(j.PayMax))
		}
		if j.DistanceKM < 0 || j.DistanceKM > 5000 {
			c.bad("distance_km", fmt.Sprint(j.DistanceKM))
		}
		c.text("place", j.Place, 1, maxLine)
		c.region("region", j.Region, true)
		c.code("kind", j.Kind, true)
		c.code("form", j.Form, false)
		c.number("people", j.People, maxCount)
		c.text("needs", j.Needs, 0, maxText)
		c.text("gives", j.Gives, 0, maxText)
		c.text("how", j.How, 0, maxText)
	})
}

// Option offers the job as a choice.
func (j Job) Option() catalog.Code { return option(j.Head, j.Employer, j.Pay) }

// Course is a training class (培训班).
type Course struct {
	Head
	Type    string `json:"type"`           // code list training_type
	Kind    string `json:"kind,omitempty"` // code list job_category
	Org     string `json:"org"`            // who teaches
	Place   string `json:"place"`
	Town    string `json:"town,omitempty"` // division code of the town, 9 digits
	Start   string `json:"start"`          // first day
	End     string `json:"end,omitempty"`  // last day
	Hours   int    `json:"hours,omitempty"`
	Seats   int    `json:"seats,omitempty"`
	Fee     int    `json:"fee"`               // yuan, 0 = free
	Subsidy string `json:"subsidy,omitempty"` // in words
	Needs   string `json:"needs,omitempty"`
}

// ParseCourse reads and checks a course. Errors wrap ErrObject.
func ParseCourse(data []byte) (Course, error) {
	return parse(data, func(o *Course, c *checker) {
		o.check(c)
		c.code("type", o.Type, true)
		c.code("kind", o.Kind, false)
		c.text("org", o.Org, 1, maxTitle)
		c.text("place", o.Place, 1, maxLine)
		c.region("town", o.Town, false)
		c.day("start", o.Start)
		c.date("end", o.End)
		if o.End != "" && o.End < o.Start {
			c.bad("end", o.End)
		}
		c.number("hours", o.Hours, maxCount)
		c.number("seats", o.Seats, maxCount)
		c.number("fee", o.Fee, maxMoney)
		c.text("subsidy", o.Subsidy, 0, maxLine)
		c.text("needs", o.Needs, 0, maxText)
	})
}

// Option offers the course as a choice.
func (o Course) Option() catalog.Code {
	fee := "不要钱"
	if o.Fee > 0 {
		fee = fmt.Sprintf("%d 元", o.Fee)
	}
	return option(o.Head, plainDay(o.Start)+"开班", fee, o.Place)
}

// Event is a job fair or a talk (招聘会).
type Event struct {
	Head
	Start  string `json:"start"` // moment
	End    string `json:"end,omitempty"`
	Place  string `json:"place"`
	Region string `json:"region,omitempty"`
	Bus    string `json:"bus,omitempty"` // where and when the bus goes
	Firms  int    `json:"firms,omitempty"`
	Jobs   int    `json:"jobs,omitempty"`
	Text   string `json:"text,omitempty"`
}

// ParseEvent reads and checks an event. Errors wrap ErrObject.
func ParseEvent(data []byte) (Event, error) {
	return parse(data, func(e *Event, c *checker) {
		e.check(c)
		c.moment("start", e.Start, true)
		c.moment("end", e.End, false)
		if e.End != "" && e.End < e.Start {
			c.bad("end", e.End)
		}
		c.text("place", e.Place, 1, maxLine)
		c.region("region", e.Region, false)
		c.text("bus", e.Bus, 0, maxText)
		c.number("firms", e.Firms, maxCount)
		c.number("jobs", e.Jobs, maxCount)
		c.text("text", e.Text, 0, maxText)
	})
}

// Option offers the event as a choice.
func (e Event) Option() catalog.Code {
	day, hour, _ := strings.Cut(e.Start, " ")
	return option(e.Head, plainDay(day)+" "+hour, e.Place)
}

// Post is a public-welfare post (公益性岗位).
type Post struct {
	Head
	Type   string `json:"type"` // code list post_type
	Place  string `json:"place"`
	Region string `json:"region"`
	Pay    string `json:"pay"` // in words
	PayMin int    `json:"pay_min,omitempty"`
	Hours  string `json:"hours,omitempty"` // in words
	People int    `json:"people,omitempty"`
	Needs  string `json:"needs,omitempty"`
}

// ParsePost reads and checks a post. Errors wrap ErrObject.
func ParsePost(data []byte) (Post, error) {
	return parse(data, func(p *Post, c *checker) {
		p.check(c)
		c.code("type", p.Type, true)
		c.text("place", p.Place, 1, maxLine)
		c.region("region", p.Region, true)
		c.text("pay", p.Pay, 1, maxTitle)
		c.number("pay_min", p.PayMin, maxMoney)
		c.text("hours", p.Hours, 0, maxLine)
		c.number("people", p.People, maxCount)
		c.text("needs", p.Needs, 0, maxText)
	})
}

// Option offers the post as a choice.
func (p Post) Option() catalog.Code { return option(p.Head, p.Place, p.Pay) }

// Policy explains a policy in plain words (政策).
type Policy struct {
	Head
	Topic     string   `json:"topic"` // code list policy_topic
	Who       string   `json:"who"`   // whom it is for
	What      string   `json:"what"`  // what one gets
	Materials []string `json:"materials,omitempty"`
	Steps     []string `json:"steps,omitempty"`
	Where     string   `json:"where,omitempty"`
	Basis     string   `json:"basis,omitempty"` // the text it rests on
	Service   string   `json:"service,omitempty"`
}

// ParsePolicy reads and checks a policy. Errors wrap ErrObject.
func ParsePolicy(data []byte) (Policy, error) {
	return parse(data, func(p *Policy, c *checker) {
		p.check(c)
		c.code("topic", p.Topic, true)
		c.text("who", p.Who, 1, maxText)
		c.text("what", p.What, 1, maxText)
		c.list("materials", p.Materials)
		c.list("steps", p.Steps)
		c.text("where", p.Where, 0, maxLine)
		c.text("basis", p.Basis, 0, maxLine)
		c.code("service", p.Service, false)
	})
}

// Notice is news of the county or the service point (通知); the title is the
// line on the home page.
type Notice struct {
	Head
	Date string `json:"date"`
	Text string `json:"text"`
}

// ParseNotice reads and checks a notice. Errors wrap ErrObject.
func ParseNotice(data []byte) (Notice, error) {
	return parse(data, func(n *Notice, c *checker) {
		n.check(c)
		c.day("date", n.Date)
		c.text("text", n.Text, 1, maxText)
	})
}

func option(h Head, notes ...string) catalog.Code {
	kept := notes[:0]
	for _, n := range notes {
		if n != "" {
			kept = append(kept, n)
		}
	}
	return catalog.Code{Code: h.ID, Label: h.Title, Note: strings.Join(kept, " · ")}
}

func plainDay(day string) string {
	d, err := time.Parse(catalog.DateLayout, day)
	if err != nil {
		return day
	}
	return fmt.Sprintf("%d月%d日", d.Month(), d.Day())
}

func parse[T any](data []byte, check func(*T, *checker)) (T, error) {
	var v, none T
	if len(data) > maxBytes {
		return none, fmt.Errorf("%w: %d bytes are too many", ErrObject, len(data))
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return none, fmt.Errorf("%w: %w", ErrObject, err)
	}
	var c checker
	check(&v, &c)
	if c.err != nil {
		return none, c.err
	}
	return v, nil
}

// checker keeps the first fault.
type checker struct{ err error }

var (
	objectID   = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._\-]{0,63}$`)
	codeValue  = regexp.MustCompile(`^[0-9A-Za-z._\-]{1,20}$`)
	regionCode = regexp.MustCompile(`^(\d{6}|\d{9}|\d{12})$`)
)

func (c *checker) bad(key, value string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s is %.80q", ErrObject, key, value)
	}
}

// text checks length, in characters, and that nothing invisible is in it.
func (c *checker) text(key, s string, least, most int) {
	n := utf8.RuneCountInString(s)
	control := strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || r == utf8.RuneError })
	if n < least || n > most || control || least > 0 && strings.TrimSpace(s) == "" {
		c.bad(key, s)
	}
}

func (c *checker) list(key string, list []string) {
	if len(list) > maxItems {
		c.bad(key, fmt.Sprintf("%d lines", len(list)))
	}
	for _, s := range list {
		c.text(key, s, 1, maxLine)
	}
}

func (c *checker) number(key string, n, most int) {
	if n < 0 || n > most {
		c.bad(key, fmt.Sprint(n))
	}
}

func (c *checker) code(key, s string, must bool) {
	if (must || s != "") && !codeValue.MatchString(s) {
		c.bad(key, s)
	}
}

func (c *checker) region(key, s string, must bool) {
	if (must || s != "") && !regionCode.MatchString(s) {
		c.bad(key, s)
	}
}

func (c *checker) day(key, s string) {
	if _, err := time.Parse(catalog.DateLayout, s); err != nil {
		c.bad(key, s)
	}
}

func (c *checker) date(key, s string) {
	if s != "" {
		c.day(key, s)
	}
}

// MomentLayout is how moments are written, Beijing time.
const MomentLayout = "2006-01-02 15:04"

func (c *checker) moment(key, s string, must bool) {
	if s == "" && !must {
		return
	}
	if _, err := time.Parse(MomentLayout, s); err != nil {
		c.bad(key, s)
	}
}

// endpoints tells which kind of object a backend_select field (validation
// "endpoint" of the catalogue) chooses among; kinds are those of sync/wire.
var endpoints = map[string]string{"job": "job", "job_fair": "event", "public_post": "post", "training_class": "course"}

// KindFor gives the kind of object that an endpoint of the catalogue chooses
// among. It is false for what is not published for everybody, such as a
// person's own registrations.
func KindFor(endpoint string) (kind string, ok bool) {
	kind, ok = endpoints[endpoint]
	return kind, ok
}

// Options offers the objects of a kind as choices of a form, in the order
// given: those that are usable and open on the day. Each code is the object's
// id.
func Options(kind string, items []json.RawMessage, today time.Time) []catalog.Code {
	var out []catalog.Code
	add := func(h Head, o catalog.Code, err error) {
		if err == nil && h.Open(today) {
			out = append(out, o)
		}
	}
	for _, raw := range items {
		switch kind {
		case "job":
			v, err := ParseJob(raw)
			add(v.Head, v.Option(), err)
		case "course":
			v, err := ParseCourse(raw)
			add(v.Head, v.Option(), err)
		case "event":
			v, err := ParseEvent(raw)
			add(v.Head, v.Option(), err)
		case "post":
			v, err := ParsePost(raw)
			add(v.Head, v.Option(), err)
		}
	}
	return out
}
