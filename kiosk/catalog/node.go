package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"unicode/utf8"
)

// maxDepth bounds how deep a catalogue file may nest; a real one needs 7.
const maxDepth = 32

// node is a JSON value that knows its line, so that a fault in a file of
// thousands of lines can be named by line.
type node struct {
	line    int
	value   any // string, json.Number, bool, nil, []*node or *object
	members *object
	items   []*node
	kind    string // object, array, string, number, boolean, null
}

// object keeps the order of its keys.
type object struct {
	keys []string
	vals map[string]*node
}

// parseNodes reads one JSON document. It refuses what encoding/json lets
// through silently: a key given twice, bytes after the end, broken UTF-8.
func parseNodes(data []byte) (*node, int, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) {
		return nil, 0, errors.New("the file is not UTF-8")
	}
	p := &nodeParser{dec: json.NewDecoder(bytes.NewReader(data))}
	p.dec.UseNumber()
	for i, b := range data {
		if b == '\n' {
			p.ends = append(p.ends, int64(i))
		}
	}
	n, err := p.value(0)
	if err != nil {
		var syn *json.SyntaxError
		if errors.As(err, &syn) {
			// The decoder counts some offsets from its last token only.
			return nil, max(p.lineAt(syn.Offset), p.line()), err
		}
		return nil, p.line(), err
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, p.line(), errors.New("there is more after the end of the document")
	}
	return n, 0, nil
}

type nodeParser struct {
	dec  *json.Decoder
	ends []int64 // offsets of line ends
}

func (p *nodeParser) line() int { return p.lineAt(p.dec.InputOffset()) }

func (p *nodeParser) lineAt(off int64) int {
	return 1 + sort.Search(len(p.ends), func(i int) bool { return p.ends[i] >= off })
}

func (p *nodeParser) value(depth int) (*node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	tok, err := p.dec.Token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	n := &node{line: p.line(), value: tok}
	switch t := tok.(type) {
	case json.Delim:
		if t == '{' {
			n.kind = "object"
			return n, p.object(n, depth)
		}
		n.kind = "array"
		return n, p.array(n, depth)
	case string:
		n.kind = "string"
	case json.Number:
		n.kind = "number"
	case bool:
		n.kind = "boolean"
	case nil:
		n.kind = "null"
	default:
		return nil, fmt.Errorf("unexpected %T", tok)
	}
	return n, nil
}

func (p *nodeParser) object(n *node, depth int) error {
	n.members = &object{vals: map[string]*node{}}
	for p.dec.More() {
		tok, err := p.dec.Token()
		if err != nil {
			return err
		}
		key, ok := tok.(string)
		if !ok {
			return fmt.Errorf("a key must be a string, not %v", tok)
		}
		if _, twice := n.members.vals[key]; twice {
			return fmt.Errorf("key %q is given twice", key)
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.members.keys = append(n.members.keys, key)
		n.members.vals[key] = v
	}
	_, err := p.dec.Token()
	return err
}

func (p *nodeParser) array(n *node, depth int) error {
	for p.dec.More() {
		v, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.items = append(n.items, v)
	}
	_, err := p.dec.Token()
	return err
}
