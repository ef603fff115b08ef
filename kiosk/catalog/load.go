package catalog

// Load reads and checks one catalogue version whole.
func Load(services, codes []byte, names ...string) (*Catalogue, error) {
	return nil, Errors{{Text: "still being written"}}
}

// Embedded loads the version built into the program.
func Embedded() (*Catalogue, error) { return Load(nil, nil) }

// Error is one fault found in a catalogue.
type Error struct {
	File    string // file name as given to Load
	Line    int    // 1…, 0 when no line applies
	Service string // id, "" outside a service
	Field   string // name, "" outside a field
	Text    string // what is wrong
	Allowed string // what would be right, "" when Text says it
}

func (e Error) Error() string { return e.Text }

// Errors are all faults of one catalogue.
type Errors []Error

func (e Errors) Error() string { return e[0].Error() }
