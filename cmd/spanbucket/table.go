package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// column is a column of a table, with its cells.
type column struct {
	head string
	// group is a heading, with the unit, over neighbours of the same one.
	group string
	// text columns are aligned left, the others right.
	text  bool
	cells []string
	width int // columns of the terminal
}

// missing stands for a cell that has no value.
const missing = "-"

// maxCell bounds a cell, in columns of the terminal; longer ones are cut.
const maxCell = 32

// table is a text table over rows of one type.
type table[R any] struct {
	rows    []R
	columns []column
	group   string // of columns that are added
	keep    int    // so many columns are shown though they be empty
}

func newTable[R any](rows []R) *table[R] { return &table[R]{rows: rows, keep: 1} }

func (t *table[R]) text(head string, cell func(*R) string) { t.add(head, true, cell) }

func (t *table[R]) number(head string, cell func(*R) string) { t.add(head, false, cell) }

func (t *table[R]) add(head string, text bool, cell func(*R) string) {
	c := column{head: clean(head), group: t.group, text: text}
	for i := range t.rows {
		c.cells = append(c.cells, cell(&t.rows[i]))
	}
	t.columns = append(t.columns, c)
}

// write writes the columns side by side, a rule under the heads. Columns that
// are empty in every row are left out.
func (t *table[R]) write(w io.Writer) error {
	var shown []column
	for i, c := range t.columns {
		if i < t.keep || !c.empty() {
			shown = append(shown, c.fit())
		}
	}
	return writeColumns(w, shown)
}

// gap is between two columns.
const gap = "  "

func writeColumns(w io.Writer, shown []column) error {
	if len(shown) == 0 {
		return nil
	}
	for i := range shown {
		c := &shown[i]
		c.width = displayWidth(c.head)
		for _, cell := range c.cells {
			c.width = max(c.width, displayWidth(cell))
		}
	}
	var out strings.Builder
	writeGroups(&out, shown)
	writeLine(&out, shown, func(c column) string { return c.head })
	writeLine(&out, shown, func(c column) string { return strings.Repeat("─", c.width) })
	for row := range shown[0].cells {
		writeLine(&out, shown, func(c column) string { return c.cells[row] })
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func writeLine(out *strings.Builder, shown []column, cell func(column) string) {
	var line strings.Builder
	for i, c := range shown {
		if i > 0 {
			line.WriteString(gap)
		}
		pad := strings.Repeat(" ", c.width-displayWidth(cell(c)))
		if c.text {
			line.WriteString(cell(c) + pad)
		} else {
			line.WriteString(pad + cell(c))
		}
	}
	out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
}

// writeGroups writes the headings over groups of columns, each with a rule
// over all of its columns, which are widened where it needs more.
func writeGroups(out *strings.Builder, shown []column) {
	var line strings.Builder
	for i := 0; i < len(shown); {
		name, span := shown[i].group, -len(gap)
		first := i
		for ; i < len(shown) && (i == first || shown[i].group == name); i++ {
			span += shown[i].width + len(gap)
		}
		if missing := displayWidth(name) - span; missing > 0 {
			shown[first].width += missing
			span += missing
		}
		if first > 0 {
			line.WriteString(gap)
		}
		fill := " "
		if name != "" && span > displayWidth(name)+1 {
			name, fill = name+" ", "─"
		}
		line.WriteString(name + strings.Repeat(fill, span-displayWidth(name)))
	}
	if text := strings.TrimRight(line.String(), " "); text != "" {
		out.WriteString(text + "\n")
	}
}

// empty tells whether no cell has a value.
func (c column) empty() bool {
	for _, cell := range c.cells {
		if cell != "" && cell != missing {
			return false
		}
	}
	return true
}

// fit makes every cell printable and short enough.
func (c column) fit() column {
	cells := make([]string, len(c.cells))
	for i, cell := range c.cells {
		if cell == "" {
			cell = missing
		}
		cells[i] = cut(clean(cell), maxCell)
	}
	c.cells = cells
	return c
}

// cut shortens text to a number of terminal columns.
func cut(text string, columns int) string {
	if displayWidth(text) <= columns {
		return text
	}
	for displayWidth(text) > columns-1 {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text + "…"
}

// displayWidth is the number of terminal columns that text takes.
func displayWidth(text string) (columns int) {
	if isPlain(text) {
		return len(text)
	}
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me):
		case width.LookupRune(r).Kind() == width.EastAsianWide, width.LookupRune(r).Kind() == width.EastAsianFullwidth:
			columns += 2
		default:
			columns++
		}
	}
	return columns
}

// writeFacts writes lines of names and values.
func writeFacts(w io.Writer, facts [][2]string) error {
	longest := 0
	for _, f := range facts {
		longest = max(longest, displayWidth(f[0]))
	}
	for _, f := range facts {
		if _, err := fmt.Fprintf(w, "%-*s  %s\n", longest, f[0], clean(f[1])); err != nil {
			return err
		}
	}
	return nil
}
