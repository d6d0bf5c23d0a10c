package spans

import (
	"encoding/binary"
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
// form; the empty string for none. It remembers the form of the values that it
// met: writing them as JSON is slow.
func (w *walker) dimensions() string {
	w.scratch = w.scratch[:0]
	for i, d := range w.reader.dimensions {
		value := w.dimension(i, d)
		w.scratch = append(binary.AppendUvarint(w.scratch, uint64(len(value))), value...)
	}
	known, ok := w.dimensioned[string(w.scratch)]
	if !ok {
		known = w.writeDimensions()
		if len(w.dimensioned) < maxJoined && len(w.scratch) <= maxRemembered {
			w.dimensioned[string(w.scratch)] = known
		}
	}
	w.observation.Notes |= known.notes
	return known.text
}

// dimensionText is a set of dimensions in its stored form, and what had to be
// changed for it.
type dimensionText struct {
	text  string
	notes aggregator.Note
}

// dimension returns the value of a configured dimension; the empty string
// leaves it out.
func (w *walker) dimension(i int, d Dimension) string {
	slot := uint8(int(numFields) + i)
	if value := w.textAt(&w.span, slot); value != "" {
		return value
	}
	if value := w.textAt(&w.resource, slot); value != "" {
		return value
	}
	return d.Default
}

func (w *walker) writeDimensions() (d dimensionText) {
	var text []byte
	for i, configured := range w.reader.dimensions {
		value := w.dimension(i, configured)
		if value == "" {
			continue
		}
		value, notes := aggregator.CleanText(value)
		d.notes |= notes
		separator := byte(',')
		if len(text) == 0 {
			separator = '{'
		}
		text = aggregator.AppendDimension(append(text, separator), configured.Name, value)
	}
	if len(text) > 0 {
		d.text = string(append(text, '}'))
	}
	return d
}
