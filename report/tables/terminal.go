package tables

import (
	"io"
	"slices"
)

// Terminal is a writer with so many columns that what is longer is folded, which
// makes a table unreadable: there, tables are made to fit. What is written to
// other writers has the width it needs.
type Terminal struct {
	io.Writer
	Columns int
}

// textColumns is how long lines of text are at most where no terminal is
// narrower.
const textColumns = 100

// Columns is how long lines of text on w are at most.
func Columns(w io.Writer) int {
	if terminal, ok := w.(Terminal); ok {
		return min(terminal.Columns, textColumns)
	}
	return textColumns
}

// minCell is how short the cells of a text column are cut at most.
const minCell = 12

// fitTerminal makes a table fit: first the cells of text columns become shorter,
// the widest first, then columns leave, those of the highest rank first, of equals
// the rightmost, down to the first keep of them, whose cells grow again into the
// room that is left. It returns the columns that are shown and how many are not.
func fitTerminal(shown []column, keep, columns int) (fitted []column, left int) {
	for i := range shown {
		shown[i].width = shown[i].widest()
	}
	for lineWidth(shown) > columns {
		if longest := longestText(shown); longest >= 0 {
			shown[longest].width--
			continue
		}
		if len(shown) <= keep {
			break
		}
		leaves := keep
		for i := keep; i < len(shown); i++ {
			if shown[i].rank >= shown[leaves].rank {
				leaves = i
			}
		}
		shown = slices.Delete(shown, leaves, leaves+1)
		left++
	}
	for i := range shown {
		wanted := shown[i].widest()
		for ; shown[i].width < wanted; shown[i].width++ {
			if lineWidth(shown) >= columns {
				break
			}
		}
	}
	for i, c := range shown {
		for row, cell := range c.cells {
			shown[i].cells[row] = Cut(cell, c.width)
		}
	}
	return shown, left
}

// lineWidth is how wide a table will be: a heading that is longer than its
// columns widens the first of them.
func lineWidth(shown []column) int {
	total := -len(gap)
	for i := 0; i < len(shown); {
		name, span := shown[i].group, -len(gap)
		first := i
		for ; i < len(shown) && (i == first || shown[i].group == name); i++ {
			span += shown[i].width + len(gap)
		}
		total += max(span, DisplayWidth(name)) + len(gap)
	}
	return total
}

// longestText returns the index of the widest text column that may become
// narrower; -1 where none may.
func longestText(shown []column) int {
	longest := -1
	for i, c := range shown {
		least := max(minCell, DisplayWidth(c.head))
		if c.text && !c.whole && c.width > least && (longest < 0 || c.width > shown[longest].width) {
			longest = i
		}
	}
	return longest
}
