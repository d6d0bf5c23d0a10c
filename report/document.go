package report

import "github.com/spanbucket/spanbucketexporter/report/tables"

// document is what a report says, before it is text or Markdown.
type document struct{ blocks []block }

// block is one of heading, paragraph, facts and grid.
type block any

type heading struct {
	level int // 1 is the title
	text  string
}

// paragraph is running text. It may have names in it that come from spans.
type paragraph string

// facts are lines of names and values; the names are ours.
type facts [][2]string

// grid is a table.
type grid struct {
	columns []gridColumn
	rows    [][]string
	// more says what the table leaves out; empty for nothing.
	more string
}

// gridColumn is a column of a grid.
type gridColumn struct {
	head  string
	group string // a heading over neighbours, with the unit
	kind  cellKind
	most  int // columns of a terminal that a cell takes; 0: tables.MaxCell
}

// cellKind says how a cell is shown.
type cellKind int

const (
	number cellKind = iota // ours, aligned right
	word                   // ours, aligned left
	name                   // comes from spans
)

func (d *document) heading(level int, text string) { d.blocks = append(d.blocks, heading{level, text}) }

func (d *document) paragraph(text string) {
	if text != "" {
		d.blocks = append(d.blocks, paragraph(text))
	}
}

func (d *document) facts(lines facts) {
	if len(lines) > 0 {
		d.blocks = append(d.blocks, lines)
	}
}

// layout is how rows of one type are laid out.
type layout[R any] struct {
	columns []gridColumn
	cells   []func(*R) string
	group   string
}

func (l *layout[R]) add(kind cellKind, head string, cell func(*R) string) {
	l.columns = append(l.columns, gridColumn{head, l.group, kind, 0})
	l.cells = append(l.cells, cell)
}

// most bounds the cells of the last column in a terminal.
func (l *layout[R]) most(columns int) { l.columns[len(l.columns)-1].most = columns }

// addTable adds a section with a table: nothing where it has no rows. Columns
// but the first that are empty in every row are left out.
func addTable[R any](d *document, title string, rows []R, l *layout[R], more string) {
	if len(rows) == 0 {
		return
	}
	g := grid{rows: make([][]string, len(rows)), more: more}
	for i, column := range l.columns {
		cells, empty := make([]string, len(rows)), true
		for k := range rows {
			if cells[k] = l.cells[i](&rows[k]); cells[k] == "" {
				cells[k] = tables.Missing
			}
			empty = empty && cells[k] == tables.Missing
		}
		if empty && i > 0 {
			continue
		}
		g.columns = append(g.columns, column)
		for k := range rows {
			g.rows[k] = append(g.rows[k], cells[k])
		}
	}
	if title != "" {
		d.heading(2, title)
	}
	d.blocks = append(d.blocks, g)
}
