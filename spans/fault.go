package spans

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// The faults that marks without a name of their own stand for.
const (
	faultLatency = "latency"
	faultAbort   = "abort"
	faultGremlin = "gremlin"
	anyFault     = "fault"
)

// readFault reads what says that an injected fault touched the span: its
// attributes, then its events, then its resource. Spans of the injector itself
// are no requests that it touched.
func (w *walker) readFault() {
	o := &w.observation
	if o.Series.Category == aggregator.CategoryFault {
		return
	}
	o.Series.Fault = w.fault()
	if o.Series.Fault == "" {
		return
	}
	delay, known := w.faultDelay()
	if known {
		w.known |= aggregator.FactInjectedDelay
		w.delayNano = delay
	}
	if !o.DeriveNetDuration(delay) {
		// The delay was longer than the span: what is left is not known.
		o.Notes |= aggregator.NoteInvalidNumber
	}
}

func (w *walker) fault() string {
	if w.span.has(fieldFault) {
		if named := w.text(&w.span, fieldFault); named != "" {
			return faultWord(named) // also a "none" that stands against the resource
		}
	}
	if found := w.faultMark(&w.span); found != "" {
		return found
	}
	if w.told.fault != "" {
		return w.told.fault
	}
	if named := w.text(&w.resource, fieldFault); named != "" {
		return faultWord(named)
	}
	return w.faultMark(&w.resource)
}

// faultMark reads the marks that do not name the fault.
func (w *walker) faultMark(r *record) string {
	flags := w.responseFlags(r)
	switch {
	case hasFlag(flags, "FI"):
		return faultAbort
	case hasFlag(flags, "DI"):
		return faultLatency
	}
	status, _ := w.scaled(r, fieldFaultStatus, 999)
	delay, _ := w.scaled(r, fieldFaultDelay, int64(maxDuration))
	switch {
	case filled(r, fieldFaultHeaderAbort), status > 0:
		return faultAbort
	case filled(r, fieldFaultHeaderDelay), delay > 0:
		return faultLatency
	case faultWord(w.text(r, fieldAttack)) != "":
		return faultGremlin
	default:
		return ""
	}
}

// filled tells whether a header has a value; headers are arrays.
func filled(r *record, f field) bool {
	if !r.has(f) {
		return false
	}
	v := r.values[f]
	return v.Type() == pcommon.ValueTypeSlice && v.Slice().Len() > 0 || faultWord(v.Str()) != ""
}

// faultDelay returns for how long the fault held the span up, in nanoseconds.
func (w *walker) faultDelay() (int64, bool) {
	if delay, ok := w.scaled(&w.span, fieldFaultDelay, int64(maxDuration)); ok {
		return delay, true
	}
	if w.told.faultDelayed {
		return w.told.faultDelayNano, true
	}
	return w.scaled(&w.resource, fieldFaultDelay, int64(maxDuration))
}

// faultWord returns the fault that a value names, empty for one that denies
// it.
func faultWord(named string) string {
	switch strings.ToLower(named) {
	case "", "none", "no", "false", "0":
		return ""
	case "true", "yes", "1":
		return anyFault
	default:
		return named
	}
}

// responseFlags returns Envoy's flags; no real list of them is longer than a
// stored text.
func (w *walker) responseFlags(r *record) string {
	if flags := w.text(r, fieldResponseFlags); len(flags) <= aggregator.MaxValueBytes {
		return flags
	}
	return ""
}

// hasFlag tells whether a list of Envoy's response flags has one.
func hasFlag(flags, wanted string) bool {
	if len(flags) < len(wanted) {
		return false
	}
	for flag := range strings.SplitSeq(flags, ",") {
		if strings.TrimSpace(flag) == wanted {
			return true
		}
	}
	return false
}
