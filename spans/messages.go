package spans

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// messagePrefixes begin the attributes of dialects that number the messages of
// the prompt.
var messagePrefixes = []string{"llm.input_messages.", "gen_ai.prompt.", "llm.prompts."}

// messageCount returns how many messages the prompt has, false where the span
// does not say. The messages themselves are not read.
func (w *walker) messageCount() (int64, bool) {
	for w.span.has(fieldMessages) {
		switch v := w.span.values[fieldMessages]; v.Type() {
		case pcommon.ValueTypeSlice:
			return int64(v.Slice().Len()), true
		case pcommon.ValueTypeStr:
			if n, ok := elements(v.Str()); ok {
				return n, true
			}
		}
		w.span.settle(uint8(fieldMessages), w.span.ranks[fieldMessages])
	}
	var numbers map[int64]bool
	for name := range w.span.attributes.All() {
		for _, prefix := range messagePrefixes {
			if rest, ok := strings.CutPrefix(name, prefix); ok {
				if n := numberBefore(rest, '.'); n >= 0 {
					if numbers == nil {
						numbers = map[int64]bool{}
					}
					numbers[n] = true
				}
			}
		}
	}
	return int64(len(numbers)), len(numbers) > 0
}

// numberBefore returns the number at the beginning of text that ends at a
// separator, -1 for none.
func numberBefore(text string, separator byte) int64 {
	i := strings.IndexByte(text, separator)
	if i < 0 {
		return -1
	}
	n, err := strconv.ParseInt(text[:i], 10, 32)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// elements counts the elements of an array that is written as JSON, without
// looking into them; false for anything else, also for text that was cut off.
func elements(text string) (int64, bool) {
	text = strings.TrimLeft(text, " \t\r\n")
	if !strings.HasPrefix(text, "[") {
		return 0, false
	}
	var n int64
	depth, quoted, begun := 0, false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[', c == '{':
			depth++
		case c == ']', c == '}':
			depth--
		case c == ',' && depth == 1:
			begun = false
			continue
		}
		if depth == 0 {
			return n, true
		}
		if !begun && !isSpace(c) && i > 0 {
			begun = true
			n++
		}
	}
	return 0, false
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
