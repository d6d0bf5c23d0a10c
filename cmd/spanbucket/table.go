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
	// text columns are aligned left, the others right.
	text  bool
	cells []string
}

// missing stands for a cell that has no value.
const missing = "-"

// maxCell bounds a cell, in columns of the terminal; longer ones are cut.
const maxCell = 32

// table is a text table over rows of one type.
type table[R any] struct {
	rows    []R
	columns []column
	keep    int // so many columns are shown though they be empty
}

func newTable[R any](rows []R) *table[R] { return &table[R]{rows: rows, keep: 1} }

func (t *table[R]) text(head string, cell func(*R) string) { t.add(head, true, cell) }

func (t *table[R]) number(head string, cell func(*R) string) { t.add(head, false, cell) }

func (t *table[R]) add(head string, text bool, cell func(*R) string) {
	c := column{head: clean(head), text: text}
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

func writeColumns(w io.Writer, shown []column) error {
	var out strings.Builder
	if len(shown) == 0 {
		return nil
	}
	widths := make([]int, len(shown))
	for i, c := range shown {
		widths[i] = displayWidth(c.head)
		for _, cell := range c.cells {
			widths[i] = max(widths[i], displayWidth(cell))
		}
	}
	line := func(cell func(c column) string) {
		var text strings.Builder
		for i, c := range shown {
			if i > 0 {
				text.WriteString("  ")
			}
			pad := strings.Repeat(" ", widths[i]-displayWidth(cell(c)))
			if c.text {
				text.WriteString(cell(c) + pad)
			} else {
				text.WriteString(pad + cell(c))
			}
		}
		out.WriteString(strings.TrimRight(text.String(), " ") + "\n")
	}
	line(func(c column) string { return c.head })
	for i := range shown {
		if i > 0 {
			out.WriteString("  ")
		}
		out.WriteString(strings.Repeat("─", widths[i]))
	}
	out.WriteString("\n")
	for row := range shown[0].cells {
		line(func(c column) string { return c.cells[row] })
	}
	_, err := io.WriteString(w, out.String())
	return err
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
