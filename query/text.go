package query

import (
	"strings"
	"unicode/utf8"

	"github.com/spanbucket/spanbucketexporter/query/engine"
)

// The engine's own instr, replace and trim take time in proportion to the product
// of the lengths of their arguments, and nothing interrupts them: two values of
// half a megabyte keep them busy for minutes. These take the sum.

// find is instr(text, part): where part begins in text, from 1; 0 for nowhere.
// Characters are counted, of two blobs bytes.
func find(arguments []engine.Value) (any, error) {
	text, part := arguments[0], arguments[1]
	if text.Kind() == engine.Null || part.Kind() == engine.Null {
		return nil, nil
	}
	blobs := text.Kind() == engine.Blob && part.Kind() == engine.Blob
	haystack := text.Text()
	at := strings.Index(haystack, part.Text())
	if at > 0 && !blobs {
		at = utf8.RuneCountInString(haystack[:at])
	}
	return int64(at + 1), nil
}

// replaceIn returns replace(text, part, by). What it makes is no longer than most
// bytes, 0 meaning any number.
func replaceIn(most int32) engine.Scalar {
	return func(arguments []engine.Value) (any, error) {
		for _, a := range arguments {
			if a.Kind() == engine.Null {
				return nil, nil
			}
		}
		text, part, by := arguments[0].Text(), arguments[1].Text(), arguments[2].Text()
		if part == "" {
			return text, nil
		}
		n := int64(strings.Count(text, part))
		if size := int64(len(text)) + n*int64(len(by)-len(part)); most > 0 && size > int64(most) {
			return nil, engine.ErrTooBig
		}
		return strings.ReplaceAll(text, part, by), nil
	}
}

// trimmed returns a function that takes the characters of its second argument,
// else spaces, from the sides of the first.
func trimmed(sides ...func(string, func(rune) bool) string) engine.Scalar {
	return func(arguments []engine.Value) (any, error) {
		characters := map[rune]bool{' ': true}
		for i, a := range arguments {
			if a.Kind() == engine.Null {
				return nil, nil
			}
			if i == 1 {
				clear(characters)
				for _, r := range a.Text() {
					characters[r] = true
				}
			}
		}
		text := arguments[0].Text()
		for _, trim := range sides {
			text = trim(text, func(r rune) bool { return characters[r] })
		}
		return text, nil
	}
}

// zeros is zeroblob(n) for the few bytes that views of the file ask for.
func zeros(arguments []engine.Value) (any, error) {
	const most = 64
	n := arguments[0].Int64()
	if n > most {
		return nil, engine.ErrTooBig
	}
	return make([]byte, max(0, n)), nil
}

// createFunctions gives a connection the functions of this package.
func createFunctions(conn *engine.Conn, l Limits) error {
	left, right := strings.TrimLeftFunc, strings.TrimRightFunc
	for _, f := range []struct {
		name      string
		arguments int32
		function  engine.Scalar
	}{
		{"histogram_percentile", 2, percentile}, {"histogram_percentile", 4, percentile},
		{"zeroblob", 1, zeros}, {"instr", 2, find}, {"replace", 3, replaceIn(l.ValueBytes)},
		{"trim", 1, trimmed(left, right)}, {"trim", 2, trimmed(left, right)},
		{"ltrim", 1, trimmed(left)}, {"ltrim", 2, trimmed(left)},
		{"rtrim", 1, trimmed(right)}, {"rtrim", 2, trimmed(right)},
	} {
		if err := conn.CreateScalar(f.name, f.arguments, f.function); err != nil {
			return err
		}
	}
	return conn.CreateAggregate("histogram_merge", 1, func() engine.Aggregate { return &merged{} })
}
