package spans

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// messagePrefixes begin the attributes of dialects that number the messages of
// the prompt.
var messagePrefixes = []string{"llm.input_messages.", "gen_ai.prompt.", "llm.prompts."}

// messageCount returns how many messages the prompt has; 0 where the span does
// not say. The messages themselves are not read.
func (w *walker) messageCount() int64 {
	if w.span.has(fieldMessages) {
		switch v := w.span.values[fieldMessages]; v.Type() {
		case pcommon.ValueTypeSlice:
			return int64(v.Slice().Len())
		case pcommon.ValueTypeStr:
			return elements(v.Str())
		}
	}
	highest := int64(0)
	for name := range w.span.attributes.All() {
		for _, prefix := range messagePrefixes {
			if rest, ok := strings.CutPrefix(name, prefix); ok {
				highest = max(highest, 1+numberBefore(rest, '.'))
			}
		}
	}
	return highest
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
// looking into them; 0 for anything else, also for text that was cut off.
func elements(text string) int64 {
	text = strings.TrimLeft(text, " \t\r\n")
	if !strings.HasPrefix(text, "[") {
		return 0
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
			return n
		}
		if !begun && !isSpace(c) && i > 0 {
			begun = true
			n++
		}
	}
	return 0
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
