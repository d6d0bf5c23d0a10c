package spans

import "unicode/utf8"

// matches tells whether text fits a pattern in which '*' stands for any text
// and '?' for one character. It takes time in proportion to the product of
// both lengths at worst.
func matches(pattern, text string) bool {
	star, resume := -1, 0 // where the last '*' is, and where its text may grow
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, t
			p++
		case p < len(pattern) && pattern[p] == '?':
			_, size := utf8.DecodeRuneInString(text[t:])
			p, t = p+1, t+size
		case p < len(pattern) && pattern[p] == text[t]:
			p, t = p+1, t+1
		case star >= 0:
			_, size := utf8.DecodeRuneInString(text[resume:])
			resume += size
			p, t = star+1, resume
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
