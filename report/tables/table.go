package tables

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
	// text columns are aligned left, the others right; whole ones are never cut.
	text, whole bool
	// rank: columns of a higher one leave first where there is no room.
	rank  int
	cells []string
	width int // columns of the terminal
}

// Missing stands for a cell that has no value.
const Missing = "-"

// MaxCell bounds a cell, in columns of the terminal; longer ones are cut.
const MaxCell = 32

// Table is a text table over rows of one type.
type Table[R any] struct {
	rows    []R
	columns []column
	// Group is a heading, with the unit, over the columns that are added next.
	Group string
	// Keep: so many columns are shown though they be empty.
	Keep int
	// Rank is that of the columns that are added next: where a terminal has no
	// room for all, those of the highest rank leave first, of equals the rightmost.
	Rank int
}

// New returns a table of rows, whose first column is always shown.
func New[R any](rows []R) *Table[R] { return &Table[R]{rows: rows, Keep: 1} }

// Text adds a column that is aligned left.
func (t *Table[R]) Text(head string, cell func(*R) string) { t.add(head, true, cell) }

// Whole adds a column that is aligned left and never cut, such as ids.
func (t *Table[R]) Whole(head string, cell func(*R) string) {
	t.add(head, true, cell)
	t.columns[len(t.columns)-1].whole = true
}

// Number adds a column that is aligned right.
func (t *Table[R]) Number(head string, cell func(*R) string) { t.add(head, false, cell) }

func (t *Table[R]) add(head string, text bool, cell func(*R) string) {
	c := column{head: Clean(head), group: t.Group, text: text, rank: t.Rank}
	for i := range t.rows {
		c.cells = append(c.cells, cell(&t.rows[i]))
	}
	t.columns = append(t.columns, c)
}

// Write writes the columns side by side, a rule under the heads. Columns that
// are empty in every row are left out. On a [Terminal] the table is made to fit.
func (t *Table[R]) Write(w io.Writer) error {
	var shown []column
	for i, c := range t.columns {
		if i < t.Keep || !c.empty() {
			shown = append(shown, c.fit())
		}
	}
	left := 0
	if terminal, ok := w.(Terminal); ok {
		shown, left = fitTerminal(shown, max(t.Keep, 1), terminal.Columns)
	}
	if err := writeColumns(w, shown); err != nil || left == 0 {
		return err
	}
	_, err := fmt.Fprintf(w, "%d more %s: a wider terminal, or --format csv\n", left, Plural(int64(left), "column"))
	return err
}

// gap is between two columns.
const gap = "  "

func writeColumns(w io.Writer, shown []column) error {
	if len(shown) == 0 {
		return nil
	}
	for i := range shown {
		shown[i].width = shown[i].widest()
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
		pad := strings.Repeat(" ", c.width-DisplayWidth(cell(c)))
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
		if missing := DisplayWidth(name) - span; missing > 0 {
			shown[first].width += missing
			span += missing
		}
		if first > 0 {
			line.WriteString(gap)
		}
		fill := " "
		if name != "" && span > DisplayWidth(name)+1 {
			name, fill = name+" ", "─"
		}
		line.WriteString(name + strings.Repeat(fill, span-DisplayWidth(name)))
	}
	if text := strings.TrimRight(line.String(), " "); text != "" {
		out.WriteString(text + "\n")
	}
}

// widest is the width of the widest cell, the head included.
func (c column) widest() int {
	columns := DisplayWidth(c.head)
	for _, cell := range c.cells {
		columns = max(columns, DisplayWidth(cell))
	}
	return columns
}

// empty tells whether no cell has a value.
func (c column) empty() bool {
	for _, cell := range c.cells {
		if cell != "" && cell != Missing {
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
			cell = Missing
		}
		cells[i] = Cut(Clean(cell), MaxCell)
	}
	c.cells = cells
	return c
}

// Cut shortens text to a number of terminal columns.
func Cut(text string, columns int) string {
	if DisplayWidth(text) <= columns {
		return text
	}
	for DisplayWidth(text) > columns-1 {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text + "…"
}

// DisplayWidth is the number of terminal columns that text takes.
func DisplayWidth(text string) (columns int) {
	if IsPlain(text) {
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

// WriteFacts writes lines of names and values. Values that are too long for w go
// on under each other.
func WriteFacts(w io.Writer, facts [][2]string) error {
	return WriteFactsWithin(w, facts, Columns(w))
}

// WriteFactsWithin does so in lines of so many columns, whatever w is.
func WriteFactsWithin(w io.Writer, facts [][2]string, columns int) error {
	longest := 0
	for _, f := range facts {
		longest = max(longest, DisplayWidth(f[0]))
	}
	for _, f := range facts {
		value := Clean(f[1])
		if room := max(columns-longest-len(gap), minCell); DisplayWidth(value) > room {
			value = strings.ReplaceAll(folded(value, room, false), "\n", "\n"+strings.Repeat(" ", longest+len(gap)))
		}
		if _, err := fmt.Fprintf(w, "%-*s%s%s\n", longest, f[0], gap, value); err != nil {
			return err
		}
	}
	return nil
}
