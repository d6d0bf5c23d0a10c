package tables

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Clean makes text safe for a terminal: control characters and those that
// change the direction of writing become U+FFFD, invalid UTF-8 too.
func Clean(text string) string {
	if IsPlain(text) {
		return text
	}
	return strings.Map(func(r rune) rune {
		if acts(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// acts tells whether a character does something to a terminal or to the text
// around it.
func acts(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
}

// CleanJSON makes JSON safe for a terminal and leaves its meaning: the characters
// that Clean replaces are written as escapes, but for line feeds, which stand
// between values only.
func CleanJSON(text []byte) []byte {
	if !bytes.ContainsFunc(text, func(r rune) bool { return acts(r) && r != '\n' }) {
		return text
	}
	out := make([]byte, 0, len(text)+64)
	for _, r := range string(text) {
		switch {
		case r == '\n' || !acts(r):
			out = append(out, string(r)...)
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				out = fmt.Appendf(out, `\u%04x`, unit)
			}
		}
	}
	return out
}

// IsPlain tells whether text is printable ASCII, as nearly all of it is.
func IsPlain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
