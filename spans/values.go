package spans

import (
	"math"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// text reads a field that is a name. Numbers and truth values count as their
// text.
func (w *walker) text(r *record, f field) string {
	return w.textAt(r, uint8(f))
}

func (w *walker) textAt(r *record, slot uint8) string {
	if !r.has(slot) {
		return ""
	}
	if v := r.values[slot]; v.Type() == pcommon.ValueTypeStr {
		return v.Str()
	}
	return r.values[slot].AsString()
}

// count reads a whole number from 0 to limit. Whole doubles and digits in text
// count; anything else is noted and read as missing.
func (w *walker) count(f field, limit int64) (int64, bool) {
	if !w.span.has(uint8(f)) {
		return 0, false
	}
	var n int64
	switch v := w.span.values[f]; v.Type() {
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

// seconds reads a time span given in seconds, at most limit nanoseconds, and
// returns nanoseconds.
func (w *walker) seconds(f field, limitNano int64) (int64, bool) {
	if !w.span.has(uint8(f)) {
		return 0, false
	}
	var s float64
	switch v := w.span.values[f]; v.Type() {
	case pcommon.ValueTypeDouble:
		s = v.Double()
	case pcommon.ValueTypeInt:
		s = float64(v.Int())
	case pcommon.ValueTypeStr:
		var err error
		if s, err = strconv.ParseFloat(v.Str(), 64); err != nil {
			s = -1
		}
	default:
		w.observation.Notes |= aggregator.NoteInvalidAttributeType
		return 0, false
	}
	ns := math.Round(s * 1e9)
	if !(ns >= 0 && ns <= float64(limitNano)) { // false for NaN, too
		w.observation.Notes |= aggregator.NoteInvalidNumber
		return 0, false
	}
	return int64(ns), true
}
