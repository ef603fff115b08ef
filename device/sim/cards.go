package sim

import (
	"bytes"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"golang.org/x/text/encoding/simplifiedchinese"
)

//go:embed cards/*.yaml
var embedded embed.FS

// CardKind is the closed set of how a simulated card behaves.
type CardKind string

// Card kinds.
const (
	KindNormal       CardKind = "normal"       // a personalised social-security card
	KindBlank        CardKind = "blank"        // the application is there, nobody's data is
	KindForeign      CardKind = "foreign"      // another chip card (a bank's, a bus card)
	KindUnresponsive CardKind = "unresponsive" // wrong way round: power, but no answer
)

// CardKinds lists the closed set.
var CardKinds = []CardKind{KindNormal, KindBlank, KindForeign, KindUnresponsive}

// maxCardFile bounds a card file, bytes.
const maxCardFile = 64 << 10

// ErrNoSuchCard means that neither an embedded card nor a file has that name.
var ErrNoSuchCard = errors.New("no such card")

// CardFile is a simulated card as a technician writes it (YAML). One file is one
// person: their social-security card and, where the section "id" is there, their
// resident ID card for the ID reader.
type CardFile struct {
	Name  string   `yaml:"-"`
	Title string   `yaml:"title"`
	Kind  CardKind `yaml:"kind"`
	// Form is the form of READ RECORD the card answers: 1 by identifier, 2 by
	// number, 3 by short file. 0 means 1.
	Form int `yaml:"form"`
	// T0 makes the card answer 61xx and 6Cxx as cards on T=0 do.
	T0      bool     `yaml:"t0"`
	ATR     string   `yaml:"atr"`      // hex; "" makes a fitting one
	DelayMS int      `yaml:"delay_ms"` // before each answer, as slow cards do
	Missing []string `yaml:"missing"`  // record identifiers (hex) that the card lacks
	Card    CardPart `yaml:"card"`
	Person  Person   `yaml:"person"`
	ID      *IDPart  `yaml:"id"`
}

// CardPart is what EF05 holds. Values are as text; see the standard's widths in
// device/sscard.
type CardPart struct {
	Identifier string `yaml:"identifier"`
	Class      string `yaml:"class"`
	Version    string `yaml:"version"`
	Issuer     string `yaml:"issuer"`
	IssueDate  string `yaml:"issue_date"`
	ExpiryDate string `yaml:"expiry_date"`
	Number     string `yaml:"number"`
}

// Person is what EF06 holds and what the ID card says too.
type Person struct {
	Number     string `yaml:"number"`
	Name       string `yaml:"name"`
	NameHex    string `yaml:"name_hex"` // bytes on the card instead of name, for broken ones
	Sex        string `yaml:"sex"`
	Ethnic     string `yaml:"ethnic"`
	BirthPlace string `yaml:"birth_place"`
	BirthDate  string `yaml:"birth_date"`
}

// IDPart is what only the ID card says.
type IDPart struct {
	Type       string `yaml:"type"` // resident, hkmt, foreigner, foreigner23; "" means resident
	NameEN     string `yaml:"name_en"`
	Nation     string `yaml:"nation"` // country code of a foreigner
	Address    string `yaml:"address"`
	Authority  string `yaml:"authority"`
	ValidFrom  string `yaml:"valid_from"`
	ValidUntil string `yaml:"valid_until"`
	// Fault is the SW3 that reading the card answers, hex; "" reads well.
	Fault string `yaml:"fault"`
}

// CardInfo is a line of the list of cards.
type CardInfo struct {
	Name  string   `json:"name"`
	Title string   `json:"title"`
	Kind  CardKind `json:"kind"`
	HasID bool     `json:"has_id"`
}

// ParseCard reads a card file and checks it. The error names what is wrong and
// what is allowed.
func ParseCard(name string, data []byte) (*CardFile, error) {
	if len(data) > maxCardFile {
		return nil, fmt.Errorf("card file %s: larger than %d bytes", name, maxCardFile)
	}
	c := &CardFile{Name: name}
	if err := yaml.UnmarshalWithOptions(data, c, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("card file %s: %w", name, err)
	}
	if c.Kind == "" {
		c.Kind = KindNormal
	}
	if c.Form == 0 {
		c.Form = 1
	}
	switch {
	case !slices.Contains(CardKinds, c.Kind):
		return nil, fmt.Errorf("card file %s: kind %q: one of %v is allowed", name, c.Kind, CardKinds)
	case c.Form < 1 || c.Form > 3:
		return nil, fmt.Errorf("card file %s: form %d: 1, 2 or 3 is allowed", name, c.Form)
	case c.DelayMS < 0 || c.DelayMS > 10_000:
		return nil, fmt.Errorf("card file %s: delay_ms %d: 0 to 10000 is allowed", name, c.DelayMS)
	case c.Kind == KindNormal && (c.Person.Number == "" || c.Person.Name == "" && c.Person.NameHex == ""):
		return nil, fmt.Errorf("card file %s: a normal card needs person.number and person.name", name)
	}
	if c.Title == "" {
		c.Title = name
	}
	if _, err := newCardOS(c); err != nil {
		return nil, fmt.Errorf("card file %s: %w", name, err)
	}
	if c.ID != nil {
		if _, err := c.idText(); err != nil {
			return nil, fmt.Errorf("card file %s: %w", name, err)
		}
	}
	return c, nil
}

// LoadCard finds a card: a path to a .yaml file, a file of dir (may be ""), or
// an embedded one.
func LoadCard(dir, name string) (*CardFile, error) {
	if strings.HasSuffix(name, ".yaml") {
		return readCard(name, filepath.Clean(name))
	}
	if name == "" || strings.ContainsAny(name, `/\`) {
		return nil, fmt.Errorf("%w: %q", ErrNoSuchCard, name)
	}
	if dir != "" {
		c, err := readCard(name, filepath.Join(dir, name+".yaml"))
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return c, err
		}
	}
	data, err := embedded.ReadFile("cards/" + name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("%w: %q", ErrNoSuchCard, name)
	}
	return ParseCard(name, data)
}

func readCard(name, path string) (*CardFile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("card file: %w", err)
	}
	return ParseCard(name, data)
}

// ListCards lists the embedded cards and those of dir (may be ""), by name.
// Files that are no card are left out.
func ListCards(dir string) []CardInfo {
	names := map[string]bool{}
	if entries, err := embedded.ReadDir("cards"); err == nil {
		for _, e := range entries {
			names[strings.TrimSuffix(e.Name(), ".yaml")] = true
		}
	}
	if dir != "" {
		files, _ := filepath.Glob(filepath.Join(dir, "*.yaml"))
		for _, f := range files {
			names[strings.TrimSuffix(filepath.Base(f), ".yaml")] = true
		}
	}
	var out []CardInfo
	for n := range names {
		c, err := LoadCard(dir, n)
		if err != nil {
			continue
		}
		out = append(out, CardInfo{Name: n, Title: c.Title, Kind: c.Kind, HasID: c.ID != nil})
	}
	slices.SortFunc(out, func(a, b CardInfo) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Widths of the name on the card, bytes.
const (
	nameWidth     = 30
	nameMoreWidth = 20
)

// records makes the card's records by identifier.
func (c *CardFile) records() (map[byte][]byte, error) {
	name, err := c.nameBytes()
	if err != nil {
		return nil, err
	}
	if len(name) > nameWidth+nameMoreWidth {
		return nil, fmt.Errorf("name has %d bytes, the card holds %d", len(name), nameWidth+nameMoreWidth)
	}
	// The name is cut at the 30th byte wherever that falls, as issuers do: a
	// four-byte character may straddle both records.
	head, tail := name, []byte(nil)
	if len(name) > nameWidth {
		head, tail = name[:nameWidth], name[nameWidth:]
	}
	recs := map[byte][]byte{
		0x09: pad(head, nameWidth, 0x00), 0x4E: pad(tail, nameMoreWidth, 0x00),
		0x02: pad([]byte(c.Card.Class), 1, 0), 0x03: pad([]byte(c.Card.Version), 4, 0),
		0x07: pad([]byte(c.Card.Number), 9, 0), 0x08: pad([]byte(c.Person.Number), 18, 0),
		0x0A: pad([]byte(c.Person.Sex), 1, 0),
	}
	for _, f := range []struct {
		id    byte
		v     string
		width int
	}{
		{0x01, c.Card.Identifier, 16}, {0x04, c.Card.Issuer, 12}, {0x05, c.Card.IssueDate, 4},
		{0x06, c.Card.ExpiryDate, 4}, {0x0B, c.Person.Ethnic, 1},
		{0x0C, c.Person.BirthPlace, 3}, {0x0D, c.Person.BirthDate, 4},
	} {
		b, err := bcd(f.v, f.width)
		if err != nil {
			return nil, fmt.Errorf("record %02X: %w", f.id, err)
		}
		recs[f.id] = b
	}
	for id, n := range map[byte]int{0x02: 1, 0x03: 4, 0x07: 9, 0x08: 18, 0x0A: 1} {
		if len(recs[id]) > n {
			return nil, fmt.Errorf("record %02X: %d bytes, the card holds %d", id, len(recs[id]), n)
		}
	}
	for _, m := range c.Missing {
		id, err := strconv.ParseUint(m, 16, 8)
		if err != nil {
			return nil, fmt.Errorf("missing %q: a record identifier in hex is allowed", m)
		}
		delete(recs, byte(id))
	}
	return recs, nil
}

func (c *CardFile) nameBytes() ([]byte, error) {
	if c.Person.NameHex != "" {
		b, err := hex.DecodeString(strings.ReplaceAll(c.Person.NameHex, " ", ""))
		if err != nil {
			return nil, fmt.Errorf("person.name_hex: %w", err)
		}
		return b, nil
	}
	b, err := simplifiedchinese.GB18030.NewEncoder().Bytes([]byte(c.Person.Name))
	if err != nil {
		return nil, fmt.Errorf("person.name: %w", err)
	}
	return b, nil
}

func pad(b []byte, width int, fill byte) []byte {
	if len(b) >= width {
		return b
	}
	return append(bytes.Clone(b), bytes.Repeat([]byte{fill}, width-len(b))...)
}

// bcd packs digits (and the hex letters of the card identifier) two a byte,
// filled with F on the right.
func bcd(s string, width int) ([]byte, error) {
	s = strings.ReplaceAll(s, " ", "")
	if len(s) > 2*width {
		return nil, fmt.Errorf("%q has more than %d digits", s, 2*width)
	}
	b, err := hex.DecodeString(s + strings.Repeat("F", 2*width-len(s)))
	if err != nil {
		return nil, fmt.Errorf("%q: digits are allowed", s)
	}
	return b, nil
}
