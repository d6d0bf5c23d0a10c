package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// textColumns is how wide running text is.
const textColumns = 96

// WriteText writes the first pick of the report for a terminal: at most 100
// columns, everything from spans made safe to print; see [tables.Clean].
func (r *Report) WriteText(w io.Writer) error {
	d := r.document()
	for i, b := range d.blocks {
		if _, title := b.(heading); i > 0 && !follows(d.blocks[i-1], title) {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return err
			}
		}
		if err := writeTextBlock(w, b); err != nil {
			return err
		}
	}
	return nil
}

// follows tells whether what comes after a block stands right under it.
func follows(before block, isHeading bool) bool {
	_, after := before.(heading)
	return after && !isHeading
}

func writeTextBlock(w io.Writer, b block) (err error) {
	switch b := b.(type) {
	case heading:
		text := tables.Clean(b.text)
		if b.level == 1 {
			text += "\n" + strings.Repeat("═", tables.DisplayWidth(text))
		}
		_, err = fmt.Fprintln(w, text)
	case paragraph:
		_, err = fmt.Fprintln(w, tables.Wrap(tables.Clean(string(b)), textColumns))
	case facts:
		err = tables.WriteFactsWithin(w, b, textColumns)
	case grid:
		err = writeTextGrid(w, &b)
	}
	return err
}

func writeTextGrid(w io.Writer, g *grid) error {
	t := tables.New(g.rows)
	for i, c := range g.columns {
		t.Group = c.group
		cell := func(row *[]string) string {
			if c.most > 0 {
				return tables.Cut(tables.Clean((*row)[i]), c.most)
			}
			return (*row)[i]
		}
		if c.kind == number {
			t.Number(c.head, cell)
		} else {
			t.Text(c.head, cell)
		}
	}
	if err := t.Write(w); err != nil || g.more == "" {
		return err
	}
	_, err := fmt.Fprintln(w, tables.Wrap(tables.Clean(g.more), textColumns))
	return err
}
