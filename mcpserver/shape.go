package mcpserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// maxCharacters is how long an answer is at most. A token is about four of them.
const maxCharacters = 4000

// shape says what of an answer is given.
type shape struct {
	drop   []string // members that are left out, wherever they are
	inline string   // a member whose own members stand in its place
	rows   int      // of every list; 0: usualRows
}

const usualRows = 10

// maxValues is how many single values a list has at most.
const maxValues = 20

// boring are members that say how an answer was read, or the same as another one.
var boring = []string{"segments", "seed", "replicates", "settled", "percentiles", "window_id", "window_ids", "included"}

// node is a piece of JSON that keeps the order of its members.
type node struct {
	names    []string // of an object
	children []node   // of an object or a list
	list     bool
	text     string // of anything else, as JSON
}

// render returns an answer as JSON of at most maxCharacters: lists become shorter
// until it fits.
func (s shape) render(answer any) (string, error) {
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(answer); err != nil {
		return "", err
	}
	decoder := json.NewDecoder(&encoded)
	decoder.UseNumber()
	whole, err := read(decoder)
	if err != nil {
		return "", fmt.Errorf("read the answer again: %w", err)
	}
	most := s.rows
	if most == 0 {
		most = usualRows
	}
	for ; ; most = most * 3 / 4 {
		short, _ := s.prune(whole, most)
		text := string(short.write(nil))
		if len(text) <= maxCharacters {
			return text, nil
		}
		if most == 0 {
			return "", fmt.Errorf("the answer has %d characters: ask for less, by run, category, from and to", len(text))
		}
	}
}

func read(decoder *json.Decoder) (n node, err error) {
	token, err := decoder.Token()
	if err != nil {
		return n, err
	}
	switch v := token.(type) {
	case json.Delim:
		n.list = v == '['
		for decoder.More() {
			if !n.list {
				name, err := decoder.Token()
				if err != nil {
					return n, err
				}
				n.names = append(n.names, fmt.Sprint(name))
			}
			child, err := read(decoder)
			if err != nil {
				return n, err
			}
			n.children = append(n.children, child)
		}
		_, err = decoder.Token()
	case string:
		n.text, err = quote(v)
	case json.Number:
		n.text = round(v)
	case nil:
		n.text = "null"
	case bool:
		n.text = strconv.FormatBool(v)
	}
	return n, err
}

// quote returns text from spans as JSON without anything that acts on a reader.
func quote(text string) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(tables.Clean(text))
	return strings.TrimSuffix(out.String(), "\n"), err
}

// round shortens a number that is not whole to four significant digits.
func round(number json.Number) string {
	v, err := number.Float64()
	if err != nil || !strings.ContainsAny(number.String(), ".eE") {
		return number.String()
	}
	if math.Abs(v) >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// empty tells whether a member says nothing: it is left out.
func (n node) empty(name string) bool {
	switch {
	case n.text == `""`:
		return name != "run_id" // spans outside any run
	case n.text == "" && len(n.children) == 0, n.text == "null":
		return true
	case slices.Contains([]string{"open", "moved", "partial", "ttft", "time_per_output_token", "outcomes"}, name):
		return n.zero()
	}
	return false
}

// zero tells whether there is nothing but 0 and false in a node.
func (n node) zero() bool {
	if n.text != "" {
		return n.text == "0" || n.text == "false" || n.text == "null"
	}
	return !slices.ContainsFunc(n.children, func(child node) bool { return !child.zero() })
}

// prune leaves out what says nothing, and cuts lists; omitted is how many
// elements were cut off the list that n is.
func (s shape) prune(n node, most int) (short node, omitted int) {
	short = node{list: n.list, text: n.text}
	if n.list {
		kept := n.children
		if len(kept) > 0 && kept[0].text != "" {
			most = maxValues
		}
		if len(kept) > most {
			kept, omitted = kept[:most], len(kept)-most
		}
		for _, child := range kept {
			pruned, _ := s.prune(child, most)
			short.children = append(short.children, pruned)
		}
		return tabulate(short), omitted
	}
	for i, name := range n.names {
		if slices.Contains(boring, name) || slices.Contains(s.drop, name) || strings.HasSuffix(name, "_ns") {
			continue
		}
		child, omitted := s.prune(n.children[i], most)
		if omitted > 0 {
			short.add(name+"_omitted", node{text: strconv.Itoa(omitted)})
		}
		switch {
		case name == s.inline && name != "" && len(child.names) > 0:
			for i, inner := range child.names {
				if !slices.Contains(short.names, inner) {
					short.add(inner, child.children[i])
				}
			}
		case name == "outcomes":
			short.add(name, child.nonzero())
		case !child.empty(name):
			short.add(name, child)
		}
	}
	return short, 0
}

// nonzero leaves the members that are not 0.
func (n node) nonzero() (some node) {
	for i, child := range n.children {
		if !child.zero() {
			some.add(n.names[i], child)
		}
	}
	return some
}

func (n *node) add(name string, child node) {
	n.names, n.children = append(n.names, name), append(n.children, child)
}

// tabulate turns a list of objects into one object of column names and rows, in
// which no name stands twice. What is inside of an object has a column with both
// names. A list of objects that have only one member becomes a list of these.
func tabulate(list node) node {
	var columns []string
	flat := make([]node, len(list.children))
	for i, row := range list.children {
		if row.list || row.text != "" {
			return list
		}
		flat[i] = row.flatten("", node{})
		for _, name := range flat[i].names {
			if !slices.Contains(columns, name) {
				columns = append(columns, name)
			}
		}
	}
	if len(columns) != 1 && len(flat) < 3 {
		return list
	}
	head, body := node{list: true}, node{list: true}
	for _, name := range columns {
		head.children = append(head.children, node{text: strconv.Quote(name)})
	}
	for _, row := range flat {
		line := node{list: true}
		for _, name := range columns {
			cell := node{text: "null"}
			if at := slices.Index(row.names, name); at >= 0 {
				cell = row.children[at]
			}
			line.children = append(line.children, cell)
		}
		if len(columns) == 1 {
			line = line.children[0]
		}
		body.children = append(body.children, line)
	}
	if len(columns) == 1 {
		return body
	}
	return node{names: []string{"columns", "rows"}, children: []node{head, body}}
}

// flatten adds the members of an object to another one, and those of objects in
// it under both names.
func (n node) flatten(prefix string, into node) node {
	for i, name := range n.names {
		child := n.children[i]
		if child.text == "" && !child.list && !slices.Contains(child.names, "columns") {
			into = child.flatten(prefix+strings.TrimSuffix(name, "percentiles_ms")+".", into)
			continue
		}
		into.add(strings.ReplaceAll(prefix+name, "..", "."), child)
	}
	return into
}

func (n node) write(out []byte) []byte {
	if n.text != "" {
		return append(out, n.text...)
	}
	ends := "{}"
	if n.list {
		ends = "[]"
	}
	out = append(out, ends[0])
	for i, child := range n.children {
		if i > 0 {
			out = append(out, ',')
		}
		if !n.list {
			out = append(strconv.AppendQuote(out, n.names[i]), ':')
		}
		out = child.write(out)
	}
	return append(out, ends[1])
}
