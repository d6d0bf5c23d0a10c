package tables

import (
	"strings"
	"unicode"
)

// Clean makes text safe for a terminal: control characters and those that
// change the direction of writing become U+FFFD, invalid UTF-8 too.
func Clean(text string) string {
	if IsPlain(text) {
		return text
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
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
