package spans

import (
	"math"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// value returns what is known of a field, and its type: empty for nothing. An
// array, a map or bytes are noted and, like empty text, count as missing: the
// next name of the field is asked.
func (w *walker) value(r *record, slot uint8) (pcommon.Value, pcommon.ValueType) {
	if r.ranks[slot] == 0 {
		return pcommon.Value{}, pcommon.ValueTypeEmpty
	}
	v := r.values[slot]
	switch t := v.Type(); t {
	case pcommon.ValueTypeStr:
		if v.Str() != "" {
			return v, t
		}
	case pcommon.ValueTypeInt, pcommon.ValueTypeDouble, pcommon.ValueTypeBool:
		return v, t
	case pcommon.ValueTypeMap, pcommon.ValueTypeSlice, pcommon.ValueTypeBytes:
		w.observation.Notes |= aggregator.NoteInvalidAttributeType
	}
	r.settle(slot, 0)
	return w.value(r, slot)
}

// text reads a field that is a name. Numbers and truth values count as their
// text.
func (w *walker) text(r *record, f field) string {
	return w.textAt(r, uint8(f))
}

func (w *walker) textAt(r *record, slot uint8) string {
	if r.ranks[slot] == 0 {
		return ""
	}
	if text := r.values[slot].Str(); text != "" { // nearly always
		return text
	}
	return w.otherText(r, slot)
}

// otherText reads a text from a value that is not one, or empty.
func (w *walker) otherText(r *record, slot uint8) string {
	switch v, t := w.value(r, slot); t {
	case pcommon.ValueTypeEmpty:
		return ""
	case pcommon.ValueTypeStr:
		return v.Str()
	default:
		return v.AsString()
	}
}

// count reads a whole number from 0 to limit. Whole doubles and digits in text
// count; anything else is noted and read as missing.
func (w *walker) count(f field, limit int64) (int64, bool) {
	if w.span.ranks[f] == 0 {
		return 0, false
	}
	var n int64
	switch v, t := w.value(&w.span, uint8(f)); t {
	case pcommon.ValueTypeEmpty:
		return 0, false
	case pcommon.ValueTypeInt:
		n = v.Int()
	case pcommon.ValueTypeDouble:
		d := v.Double()
		if n = int64(d); !(d >= 0 && d <= float64(limit)) || float64(n) != d {
			n = -1
		}
	case pcommon.ValueTypeStr:
		var err error
		if n, err = strconv.ParseInt(v.Str(), 10, 64); err != nil {
			n = -1
		}
	default:
		w.observation.Notes |= aggregator.NoteInvalidAttributeType
		return 0, false
	}
	if n < 0 || n > limit {
		w.observation.Notes |= aggregator.NoteInvalidNumber
		return 0, false
	}
	return n, true
}

// scaled reads a number of the unit that its attribute has, and returns it in
// nanoseconds, or in 1e-9 US dollars: at most limit.
func (w *walker) scaled(r *record, f field, limit int64) (int64, bool) {
	var number float64
	switch v, t := w.value(r, uint8(f)); t {
	case pcommon.ValueTypeEmpty:
		return 0, false
	case pcommon.ValueTypeDouble:
		number = v.Double()
	case pcommon.ValueTypeInt:
		number = float64(v.Int())
	case pcommon.ValueTypeStr:
		var err error
		if number, err = strconv.ParseFloat(v.Str(), 64); err != nil {
			number = -1
		}
	default:
		w.observation.Notes |= aggregator.NoteInvalidAttributeType
		return 0, false
	}
	number = math.Round(number * w.index.scales[f][r.ranks[f]-1])
	if !(number >= 0 && number <= float64(limit)) { // false for NaN, too
		w.observation.Notes |= aggregator.NoteInvalidNumber
		return 0, false
	}
	return int64(number), true
}
