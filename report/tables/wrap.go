package tables

import "strings"

// Wrap breaks text at spaces into lines of so many columns at most; a longer
// word has a line of its own, and is cut.
func Wrap(text string, columns int) string { return folded(text, columns, true) }

// folded does that; longer words are cut or left as they are.
func folded(text string, columns int, cut bool) string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if cut {
			word = Cut(word, columns)
		}
		if line != "" && DisplayWidth(line)+1+DisplayWidth(word) > columns {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return strings.Join(append(lines, line), "\n")
}
