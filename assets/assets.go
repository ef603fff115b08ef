// Package assets holds every file that is built into the programs: the
// catalogue of services and its code lists, division codes, fonts, icons,
// sample data for training and demonstration, and licences.
//
// It exists so that a terminal is one file that starts without a network and
// without looking for anything on the disk. It guarantees that what it hands
// out is complete for this build; it checks nothing itself (kiosk/catalog
// does) and imports nothing of the project.
package assets

import (
	"embed"
	"io/fs"
)

//go:embed catalog divisions icons samples licenses packaging
var files embed.FS

// Names of the embedded catalogue files, as they appear in error messages.
const (
	ServicesName = "services.json"
	CodesName    = "codes.json"
)

// Catalogue returns the embedded catalogue version: the service items and the
// code lists, both JSON. The slices are fresh copies.
func Catalogue() (services, codes []byte) {
	return read("catalog/" + ServicesName), read("catalog/" + CodesName)
}

// Divisions returns the division codes of China (source: china-division 2.7.0,
// WTFPL), as CSV with a header line:
//
//	provinces.csv            code (2 digits), name
//	cities.csv               code (4), name, province
//	counties.csv             code (6), name, city, province
//	shanxi-towns.csv         code (9), name, county
//	villages/<city>.csv.gz   code (12), name, town; one gzip file per city of Shanxi
//
// Yuncheng is villages/1408.csv.gz; Ruicheng's 162 villages are in it.
func Divisions() fs.FS { return sub("divisions") }

// The fonts are ten megabytes each: they are handed out as they lie in the
// program, not copied.
var (
	//go:embed fonts/NotoSansSC-Regular.ttf
	fontRegular []byte
	//go:embed fonts/NotoSansSC-Bold.ttf
	fontBold []byte
)

// FontRegular returns Noto Sans SC Regular, a static TrueType font (OFL 1.1).
// It is shared: do not change it.
func FontRegular() []byte { return fontRegular }

// FontBold returns Noto Sans SC Bold, a static TrueType font (OFL 1.1). It is
// shared: do not change it.
func FontBold() []byte { return fontBold }

// Icons returns the SVG icons, <name>.svg, 92×92 units, drawn with strokes of
// one width in currentColor.
func Icons() fs.FS { return sub("icons") }

// Samples returns made-up data for demonstration, training and tests: jobs,
// courses, job fairs, public posts, policies and notices, one JSON file each.
// Nothing in it is a real offer, employer, person or telephone number.
func Samples() fs.FS { return sub("samples") }

// Licenses returns the licence texts of what is embedded, and NOTICE, which
// lists sources.
func Licenses() fs.FS { return sub("licenses") }

// PolkitRuleName is the rule's file name, in the packages and on the machine.
const PolkitRuleName = "50-cunban.rules"

// PolkitRule returns the polkit rule that lets the terminal's account use the
// card reader, as the packages install it.
func PolkitRule() []byte { return read("packaging/" + PolkitRuleName) }

// read returns an embedded file; a missing one cannot happen in a build whose
// tests passed, so it is a programming error.
func read(name string) []byte {
	b, err := files.ReadFile(name)
	if err != nil {
		panic("assets: " + err.Error())
	}
	return b
}

func sub(dir string) fs.FS {
	f, err := fs.Sub(files, dir)
	if err != nil {
		panic("assets: " + err.Error())
	}
	return f
}
