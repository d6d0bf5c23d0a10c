package spans

import (
	"slices"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// Dimension is a configured dimension: an attribute, looked for on the span and
// then on its resource, and the value of spans that have neither. An empty
// default leaves the dimension out.
type Dimension struct {
	Name    string
	Default string
}

func sortedDimensions(dimensions []Dimension) []Dimension {
	return slices.SortedFunc(slices.Values(dimensions), func(a, b Dimension) int { return strings.Compare(a.Name, b.Name) })
}

// dimensions returns the configured dimensions of the span in their stored
// form; the empty string for none.
func (w *walker) dimensions() string {
	w.scratch = w.scratch[:0]
	for i, d := range w.reader.dimensions {
		slot := uint8(int(numFields) + i)
		value := w.textAt(&w.span, slot)
		if value == "" {
			value = w.textAt(&w.resource, slot)
		}
		if value == "" {
			value = d.Default
		}
		if value == "" {
			continue
		}
		value, notes := aggregator.CleanText(value)
		w.observation.Notes |= notes
		separator := byte(',')
		if len(w.scratch) == 0 {
			separator = '{'
		}
		w.scratch = aggregator.AppendDimension(append(w.scratch, separator), d.Name, value)
	}
	if len(w.scratch) == 0 {
		return ""
	}
	w.scratch = append(w.scratch, '}')
	if text, ok := w.joined[string(w.scratch)]; ok {
		return text
	}
	text := string(w.scratch)
	if len(w.joined) < maxJoined && len(text) <= maxRemembered {
		w.joined[text] = text
	}
	return text
}
