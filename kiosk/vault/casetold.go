package vault

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
)

// account is what the records of a case tell, heard in their order.
type account struct {
	first   int64 // the log begins at this record; what was before was pruned
	seen    bool  // at least one record tells of the case
	whole   bool  // they begin with its first submission
	broken  bool  // one cannot be read
	service word
	newest  int // revision, 0 = not told
	goneTo  int // what was in the revisions up to this one was destroyed
	sent    map[int]sending
	demo    word
	worlds  []world // one, or two where the records leave it open
}

// word is a text that may not be told.
type word struct {
	text string
	told bool
}

func says(text string) word { return word{text, true} }

// denies reports whether a text is told and another one.
func (w word) denies(text string) bool { return w.told && w.text != text }

// sending is what a submission's record tells of its revision.
type sending struct {
	told            bool
	seq             int64
	digest, key     string
	files           int
	mode, catalogue word
	attempts        int // at least
}

// place is where the outbox item of the newest revision is.
type place int

// Places.
const (
	placeUnknown  place = iota
	placeActive         // to be sent
	placeAside          // needs attention
	placeDone           // settled
	placeSettling       // the county has the case; whether the item was settled is not told
)

// world is one way in which the records can be understood.
type world struct {
	state           cases.State // "" = not told
	acceptance, due word
	mend            int // -1 = not told
	item            place
	lines           []wantLine
}

// wantLine is a line of the timeline that a record tells of.
type wantLine struct {
	state cases.State
	at    int64    // ns since 1970, 0 = not told
	begin []string // how it may begin
	holds string   // and what stands in it
}

// lineWords are the words with which a line of the timeline begins that an event
// wrote, in every wording that ever was: where one changes, the old one stays
// here too, or old cases would be accused.
var lineWords = map[oplog.Event][]string{
	oplog.CaseSubmit:     {textSaved, textResaved},
	oplog.CaseSalvage:    {textSalvaged},
	oplog.CaseWithdraw:   {textWithdrawn},
	oplog.QueueAttention: {textAttention},
	oplog.QueueRequeue:   {textRequeued},
	oplog.CaseAccepted:   {"县里已受理"},
	oplog.CaseProcessing: {"县里正在办理"},
	oplog.CaseReturned:   {"县里退回，需要补正"},
	oplog.CaseFinished:   {"已办结"},
	oplog.CaseRefused:    {"县里不予办理"},
}

// countyStates are the states that the county's events give.
var countyStates = map[oplog.Event]cases.State{
	oplog.CaseAccepted: cases.Accepted, oplog.CaseProcessing: cases.Processing, oplog.CaseReturned: cases.Returned,
	oplog.CaseFinished: cases.Finished, oplog.CaseRefused: cases.Refused,
}

// read hears a record's line.
func (a *account) read(line []byte) {
	r, err := oplog.Decode(line)
	if err != nil {
		a.broken = true
		return
	}
	if r.Outcome == oplog.OK {
		a.hear(r)
	}
}

// hear takes one more record of the case; those that change nothing of it are
// passed over.
func (a *account) hear(r oplog.Record) {
	fresh := r.Event == oplog.CaseSubmit || r.Event == oplog.CaseSalvage
	_, county := countyStates[r.Event]
	switch r.Event {
	case oplog.CaseSubmit, oplog.CaseSalvage, oplog.CaseWithdraw, oplog.CaseShred, oplog.CaseReclaim,
		oplog.QueueAttention, oplog.QueueRequeue, oplog.QueueRetry:
	default:
		if !county {
			return
		}
	}
	revision, _ := strconv.Atoi(r.Fields["revision"])
	if !a.seen {
		a.seen = true
		a.whole = r.Event == oplog.CaseSalvage || r.Event == oplog.CaseSubmit && revision == 1
		a.worlds = []world{{mend: -1}}
		a.sent = map[int]sending{}
		if a.whole && r.Event == oplog.CaseSubmit {
			a.worlds[0].acceptance = says("") // else another vault may have had it
		}
	}
	a.newest, a.service = revision, says(r.Fields["service"])
	a.hearDemo(r, fresh)
	s := a.sent[revision]
	if n, err := strconv.Atoi(r.Fields["attempts"]); err == nil {
		s.attempts = n
	}
	switch {
	case fresh:
		s = sending{told: true, seq: r.Seq, digest: r.Fields["body"], key: r.Fields["key"]}
		s.files, _ = strconv.Atoi(r.Fields["files"])
		if r.Event == oplog.CaseSubmit {
			s.mode, s.catalogue = says(r.Fields["mode"]), says(r.Fields["catalogue"])
		}
	case r.Event == oplog.CaseWithdraw || r.Event == oplog.CaseShred:
		a.goneTo = revision
	}
	a.sent[revision] = s
	var next []world
	for _, w := range a.worlds {
		next = append(next, w.after(r)...)
	}
	a.worlds = next
}

// hearDemo takes what a record tells of a demonstration: a person's also says so
// when only the person was in one, the system's speak of the case.
func (a *account) hearDemo(r oplog.Record, fresh bool) {
	if fresh && r.Event == oplog.CaseSubmit {
		a.demo = word{}
	}
	if !r.Demo || r.Role == oplog.RoleSystem && r.Event != oplog.QueueRequeue {
		a.demo = says(strconv.FormatBool(r.Demo))
	}
}

// after is what a world can be after a record.
func (w world) after(r oplog.Record) []world {
	line := func(state cases.State, at int64) {
		w.state = state
		w.lines = append(slices.Clip(w.lines), wantLine{state: state, at: at, begin: lineWords[r.Event]})
	}
	now := r.Wall.UnixNano()
	switch r.Event {
	case oplog.CaseSubmit, oplog.CaseSalvage:
		line(cases.Saved, 0) // the time is the desk's
		w.due, w.mend, w.item = word{}, -1, placeActive
	case oplog.CaseWithdraw:
		line(cases.Withdrawn, now)
		w.item = placeDone
	case oplog.QueueAttention:
		w.item = placeAside
		switch {
		case w.state == "":
			w.lines = nil // there may be a line in between
		case w.state.Can(cases.Attention):
			line(cases.Attention, now)
		}
	case oplog.QueueRequeue:
		w.item = placeActive
		switch w.state {
		case "":
			w.lines = nil
		case cases.Attention:
			line(cases.Saved, now)
		default:
		}
	default:
		if _, ok := countyStates[r.Event]; ok {
			return w.afterCounty(r)
		}
	}
	return []world{w}
}

// afterCounty is what the county's word makes of a world. A number may also have
// come with a receipt that was late (Acknowledge): the county had moved the case
// on before, and only the number was added.
func (w world) afterCounty(r oplog.Record) (out []world) {
	number, due := r.Fields["acceptance"], r.Fields["due"]
	if !w.state.Over() {
		m := w
		m.state, m.acceptance, m.due, m.mend = countyStates[r.Event], says(number), says(due), -1
		if n, err := strconv.Atoi(r.Fields["mend"]); err == nil {
			m.mend = n
		}
		switch w.item {
		case placeActive:
			m.item = placeSettling
		case placeAside:
			m.item = placeDone
		case placeUnknown, placeDone, placeSettling:
		}
		l := wantLine{state: m.state, begin: lineWords[r.Event]}
		if r.Event == oplog.CaseAccepted && !strings.HasPrefix(number, "sm3 ") {
			l.holds = number
		}
		m.lines = append(slices.Clip(w.lines), l)
		out = append(out, m)
	}
	if r.Event == oplog.CaseAccepted && number != "" && !w.acceptance.denies("") && !w.state.Unsent() {
		m := w
		m.acceptance, m.item = says(number), placeDone
		if m.due.told && m.due.text == "" {
			m.due = says(due)
		}
		out = append(out, m)
	}
	if len(out) == 0 {
		return []world{w} // no program writes this; the rest still compares
	}
	return out
}

// compare names in what a case is not what was told of it.
func (a *account) compare(s *subject, cs cases.Case, blind aspect) (found []aspect) {
	differ := func(what aspect, yes bool) {
		if yes && what != blind && !slices.Contains(found, what) {
			found = append(found, what)
		}
	}
	last := a.sent[a.newest]
	switch {
	case a.broken, !a.whole && (a.first == 0 || !last.told && cs.LogIndex >= a.first), last.told && cs.LogIndex != last.seq:
		differ(aspectRecord, true)
	}
	if !a.seen {
		return found
	}
	differ(aspectService, a.service.denies(inLog("service", cs.Service)) && a.service.denies(clip(cs.Service, maxLogValue)))
	differ(aspectRevision, cs.Revision != a.newest)
	differ(aspectDemo, a.demo.denies(strconv.FormatBool(cs.Demo)))
	if last.told {
		differ(aspectMode, last.mode.denies(clip(string(cs.Mode), maxLogValue)))
		differ(aspectCatalogue, last.catalogue.denies(clip(cs.Catalogue, maxLogValue)))
		differ(aspectDigest, last.digest != hex.EncodeToString(cs.BodyDigest))
	}
	a.compareItems(s, differ)
	a.compareFiles(s, differ)
	var least []aspect
	for i, w := range a.worlds {
		odd := slices.DeleteFunc(w.compare(a, s, cs), func(what aspect) bool { return what == blind })
		if i == 0 || len(odd) < len(least) {
			least = odd
		}
	}
	for _, what := range least {
		differ(what, true)
	}
	return found
}

// compareItems looks at the outbox items: of each revision that was told there
// is one.
func (a *account) compareItems(s *subject, differ func(aspect, bool)) {
	missing := map[int]bool{}
	for revision, sent := range a.sent {
		missing[revision] = sent.told
	}
	for _, q := range s.items {
		sent := a.sent[q.revision]
		delete(missing, q.revision)
		differ(aspectService, a.service.denies(inLog("service", q.service)) && a.service.denies(clip(q.service, maxLogValue)))
		differ(aspectQueue, q.revision > a.newest || a.whole && !sent.told || q.revision < a.newest && !q.at(placeDone))
		differ(aspectDigest, sent.told && sent.digest != hex.EncodeToString(q.digest))
		differ(aspectKey, sent.told && sent.key != clip(q.key, maxLogValue))
		differ(aspectAttempts, q.attempts < sent.attempts)
		differ(aspectBody, q.body != (q.revision > a.goneTo))
	}
	for _, gone := range missing {
		differ(aspectQueue, gone)
	}
}

// at reports whether an item is where it should be.
func (q queued) at(p place) bool {
	open, state := q.open.Int64, cases.QueueState(q.state)
	switch p {
	case placeActive:
		return open == openActive && (state == cases.QueueWaiting || state == cases.QueueLeased || state == cases.QueueSent)
	case placeAside:
		return open == openAside && state == cases.QueueAttention
	case placeDone:
		return !q.open.Valid && state == cases.QueueDone
	case placeSettling:
		return q.at(placeActive) || q.at(placeDone)
	case placeUnknown:
		return q.at(placeSettling) || q.at(placeAside)
	}
	return false
}

// compareFiles counts the scans of each revision.
func (a *account) compareFiles(s *subject, differ func(aspect, bool)) {
	for revision, n := range s.files {
		differ(aspectFiles, n > 0 && (revision <= a.goneTo || a.whole && !a.sent[revision].told))
	}
	for revision, sent := range a.sent {
		differ(aspectFiles, sent.told && revision > a.goneTo && s.files[revision] != sent.files)
	}
}

// compare names in what a case is not as in this world.
func (w world) compare(a *account, s *subject, cs cases.Case) (odd []aspect) {
	differ := func(what aspect, yes bool) {
		if yes {
			odd = append(odd, what)
		}
	}
	differ(aspectState, w.state != "" && w.state != cs.State)
	differ(aspectAcceptance, w.acceptance.denies(inLog("acceptance", cs.Acceptance)))
	differ(aspectDue, w.due.denies(inLog("due", cs.DueDate)))
	differ(aspectMend, w.mend >= 0 && w.mend != len(cs.Mend))
	item := w.item
	if item == placeActive && !w.state.Unsent() {
		item = placeSettling // the county had the case before it was sent again
	}
	for _, q := range s.items {
		differ(aspectQueue, q.revision == a.newest && !q.at(item))
	}
	differ(aspectTimeline, !w.tells(s.lines, a.whole))
	return odd
}

// tells reports whether a timeline is the one of this world; where the beginning
// was pruned, its end is compared.
func (w world) tells(lines []timeLine, whole bool) bool {
	more := len(lines) - len(w.lines)
	if more < 0 || whole && more > 0 {
		return false
	}
	for i, l := range lines[more:] {
		want := w.lines[i]
		if l.state != string(want.state) || want.at != 0 && l.at != want.at || !strings.Contains(l.text, want.holds) ||
			!slices.ContainsFunc(want.begin, func(words string) bool { return strings.HasPrefix(l.text, words) }) {
			return false
		}
	}
	return true
}
