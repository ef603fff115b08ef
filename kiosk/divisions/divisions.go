// Package divisions gives names for division codes (GB/T 2260, GB/T 10114 and
// the statistical codes of villages), so that a person picks her village from
// names and the paper shows where she lives in words.
//
// It is built from the embedded tables: provinces, cities and counties of the
// whole country, towns and villages of Shanxi. The small tables are read at
// once; the villages, some 22,000, are unpacked city by city when first asked
// for, in a few milliseconds. A Divisions is safe for concurrent use.
package divisions

import (
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"cunban/assets"
	"cunban/kiosk/catalog"
)

// Lengths of codes, in digits.
const (
	lenProvince = 2
	lenCity     = 4
	lenCounty   = 6
	lenTown     = 9
	lenVillage  = 12
)

// ErrTable is wrapped by errors about a table that cannot be read.
var ErrTable = errors.New("divisions: broken table")

// Divisions holds the tables.
type Divisions struct {
	names    map[string]string         // own name by code of 2, 4, 6 or 9 digits
	children map[string][]catalog.Code // by code of the parent
	villages map[string]func() (*villages, error)
}

// villages are those of one city.
type villages struct {
	names  map[string]string
	byTown map[string][]catalog.Code
}

// Embedded reads the tables built into the program. home is the service
// point's own code (6 to 12 digits, "" = none): its province, city and county
// come first in the lists, since most people come from there.
func Embedded(home string) (*Divisions, error) { return New(assets.Divisions(), home) }

// New reads the tables from a file system laid out as assets.Divisions. Errors
// wrap ErrTable.
func New(fsys fs.FS, home string) (*Divisions, error) {
	d := &Divisions{names: map[string]string{}, children: map[string][]catalog.Code{},
		villages: map[string]func() (*villages, error){}}
	for _, t := range []struct {
		file   string
		digits int
	}{{"provinces.csv", lenProvince}, {"cities.csv", lenCity}, {"counties.csv", lenCounty}, {"shanxi-towns.csv", lenTown}} {
		rows, err := readFile(fsys, t.file, t.digits)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			d.add(r)
		}
	}
	for parent := range d.children {
		slices.SortStableFunc(d.children[parent], func(a, b catalog.Code) int {
			return cmp.Compare(distance(a.Code, home), distance(b.Code, home))
		})
	}
	files, err := fs.Glob(fsys, "villages/*.csv.gz")
	if err != nil {
		return nil, fmt.Errorf("%w: list villages: %w", ErrTable, err)
	}
	for _, name := range files {
		city := strings.TrimSuffix(strings.TrimPrefix(name, "villages/"), ".csv.gz")
		d.villages[city] = sync.OnceValues(func() (*villages, error) { return readVillages(fsys, name) })
	}
	return d, nil
}

// add enters a row of one of the small tables.
func (d *Divisions) add(r row) {
	d.names[r.code] = r.name
	c := catalog.Code{Code: r.code, Label: r.name}
	switch len(r.code) {
	case lenProvince:
		d.children[""] = append(d.children[""], c)
	case lenCity:
		d.children[r.code[:lenProvince]] = append(d.children[r.code[:lenProvince]], c)
	case lenCounty:
		c.Note = d.cityName(r.code[:lenCity])
		d.children[r.code[:lenCity]] = append(d.children[r.code[:lenCity]], c)
	case lenTown:
		d.children[r.code[:lenCounty]] = append(d.children[r.code[:lenCounty]], c)
	}
}

// distance is 0 for what contains home, 1 for the rest.
func distance(code, home string) int {
	if home != "" && strings.HasPrefix(home, code) {
		return 0
	}
	return 1
}

// cityName is the name of a city, "" for the groups that are none (市辖区 of
// Beijing, 省直辖县级行政区划).
func (d *Divisions) cityName(code string) string {
	n := d.names[code]
	if n == "县" || strings.HasPrefix(n, "市辖") || strings.Contains(n, "直辖县级") {
		return ""
	}
	return n
}

// trim reduces codes filled up with zeros (140000, 140800) to their own digits.
func trim(code string) string {
	switch {
	case len(code) == lenVillage && strings.HasSuffix(code, "000"):
		return trim(code[:lenTown])
	case len(code) == lenTown && strings.HasSuffix(code, "000"):
		return trim(code[:lenCounty])
	case len(code) == lenCounty && strings.HasSuffix(code, "0000"):
		return code[:lenProvince]
	case len(code) == lenCounty && strings.HasSuffix(code, "00"):
		return code[:lenCity]
	}
	return code
}

// Provinces lists the provinces, by codes of two digits; home's first.
func (d *Divisions) Provinces() []catalog.Code { return slices.Clone(d.children[""]) }

// Cities lists the cities of a province (2 digits, or 6 with zeros), by codes
// of four digits.
func (d *Divisions) Cities(province string) []catalog.Code {
	return slices.Clone(d.children[trim(province)])
}

// Counties lists the counties of a province or city, by codes of six digits;
// those of home's city first. Note names the city; where counties of one
// province share a name, the label does too: 晋城市城区, 阳泉市城区.
func (d *Divisions) Counties(parent string) []catalog.Code {
	parent = trim(parent)
	if len(parent) == lenCity {
		return slices.Clone(d.children[parent])
	}
	var out []catalog.Code
	for _, city := range d.children[parent] {
		out = append(out, d.children[city.Code]...)
	}
	times := map[string]int{}
	for _, c := range out {
		times[c.Label]++
	}
	for i := range out {
		if times[out[i].Label] > 1 {
			out[i].Label = out[i].Note + out[i].Label
		}
	}
	return out
}

// Towns lists the towns of a county (6 digits), by codes of nine digits. Only
// those of Shanxi are known; for a county elsewhere there is one choice, the
// county itself filled up with zeros, so that nobody from there is stuck.
func (d *Divisions) Towns(county string) []catalog.Code {
	if len(county) != lenCounty || d.names[county] == "" {
		return nil
	}
	if towns := d.children[county]; len(towns) > 0 {
		return slices.Clone(towns)
	}
	return asFarAsKnown(county+"000", d.names[county])
}

// asFarAsKnown offers a division as its own only part.
func asFarAsKnown(code, name string) []catalog.Code {
	return []catalog.Code{{Code: code, Label: "就到" + name, Note: "不用再往下选"}}
}

// Villages lists the villages and communities of a town (9 digits), by codes
// of twelve digits, with the names people use: 太安村, not 太安村委会. A town
// whose villages are not known is its own only choice, as in Towns.
func (d *Divisions) Villages(town string) []catalog.Code {
	own := d.names[trim(town)]
	if len(town) != lenTown || own == "" {
		return nil
	}
	v, err := d.city(town)
	if err != nil || len(v.byTown[town]) == 0 {
		return asFarAsKnown(town+"000", own)
	}
	return slices.Clone(v.byTown[town])
}

// Preload unpacks the villages of a city (4 digits or more) before somebody
// waits for them. An unknown city is no error; a broken table wraps ErrTable.
func (d *Divisions) Preload(code string) error {
	_, err := d.city(code)
	return err
}

func (d *Divisions) city(code string) (*villages, error) {
	if len(code) >= lenCity {
		if load := d.villages[code[:lenCity]]; load != nil {
			return load()
		}
	}
	return &villages{}, nil
}

// Name gives the full name of a code of 2, 4, 6, 9 or 12 digits:
// 山西省运城市芮城县古魏镇太安村. It is "" for a code that is not known.
func (d *Divisions) Name(code string) string {
	code = trim(code)
	own := d.names[code]
	parent := 0
	switch len(code) {
	case lenProvince:
		return own
	case lenCity:
		parent, own = lenProvince, d.cityName(code)
		if d.names[code] != "" && own == "" {
			return d.Name(code[:lenProvince])
		}
	case lenCounty:
		parent = lenCity
	case lenTown:
		parent = lenCounty
	case lenVillage:
		parent = lenTown
		if v, err := d.city(code); err == nil {
			own = v.names[code]
		}
	}
	if own == "" {
		return ""
	}
	return d.Name(code[:parent]) + own
}

type row struct{ code, name string }

func readFile(fsys fs.FS, name string, digits int) ([]row, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTable, err)
	}
	defer file.Close() // read only: nothing can be lost
	return readRows(file, name, digits)
}

// readRows reads a table with a header line whose first columns are code and
// name.
func readRows(r io.Reader, name string, digits int) ([]row, error) {
	c := csv.NewReader(r)
	all, err := c.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%w: read %s: %w", ErrTable, name, err)
	}
	var out []row
	for i, rec := range all {
		if i == 0 {
			if len(rec) < 2 || rec[0] != "code" || rec[1] != "name" {
				return nil, fmt.Errorf("%w: %s does not begin with code,name", ErrTable, name)
			}
			continue
		}
		if len(rec[0]) != digits || strings.Trim(rec[0], "0123456789") != "" || rec[1] == "" {
			return nil, fmt.Errorf("%w: %s line %d: code %q, name %q", ErrTable, name, i+1, rec[0], rec[1])
		}
		out = append(out, row{rec[0], rec[1]})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: %s is empty", ErrTable, name)
	}
	return out, nil
}

func readVillages(fsys fs.FS, name string) (*villages, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTable, err)
	}
	defer file.Close() // read only: nothing can be lost
	z, err := gzip.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("%w: unpack %s: %w", ErrTable, name, err)
	}
	rows, err := readRows(z, name, lenVillage)
	if err != nil {
		return nil, err
	}
	v := &villages{names: make(map[string]string, len(rows)), byTown: map[string][]catalog.Code{}}
	for _, r := range rows {
		n := villageName(r.name)
		v.names[r.code] = n
		v.byTown[r.code[:lenTown]] = append(v.byTown[r.code[:lenTown]], catalog.Code{Code: r.code, Label: n})
	}
	return v, nil
}

// villageName turns the name of a committee into the name of its place.
func villageName(s string) string {
	for _, c := range []struct{ ending, keep string }{
		{"村民委员会", "村"}, {"村民委会", "村"}, {"村委员会", "村"}, {"村委会", "村"}, {"居民委员会", ""},
		{"居委会", ""}} {
		if base, ok := strings.CutSuffix(s, c.ending); ok && base != "" {
			if c.keep != "" && strings.HasSuffix(base, c.keep) {
				return base
			}
			return base + c.keep
		}
	}
	return s
}
