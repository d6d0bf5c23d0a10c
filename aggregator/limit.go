package aggregator

import (
	"encoding/json"
	"maps"
	"slices"
)

// DimensionLimit bounds the values of one configured dimension.
type DimensionLimit struct {
	Name      string
	MaxValues int
}

// Limits bound what a Registry admits.
type Limits struct {
	// MaxSeries is the number of series, overflow series apart, that may live
	// at a time.
	MaxSeries int
	// MaxRuns is the number of runs.
	MaxRuns int
	// MaxOverflowSeries is the number of overflow series that keep their
	// service; later ones drop it too.
	MaxOverflowSeries int
	// Dimensions bounds the values of configured dimensions.
	Dimensions []DimensionLimit
}

// Registry knows the live series and runs, and decides what a new series is
// kept as once a limit is reached. It is not safe for concurrent use.
type Registry struct {
	limits   Limits
	series   map[SeriesID]Series
	runs     map[string]struct{}
	values   []map[string]int // per limited dimension: how many series have a value
	overflow int              // how many of series are overflow series
	// widest caches the dimension with the most distinct values, which does
	// not change while no series is admitted; empty when unknown.
	widest string
}

// NewRegistry returns a registry that knows nothing yet.
func NewRegistry(limits Limits) *Registry {
	r := &Registry{limits: limits, series: map[SeriesID]Series{}, runs: map[string]struct{}{}}
	for range limits.Dimensions {
		r.values = append(r.values, map[string]int{})
	}
	return r
}

// Resolution is what a series is kept as.
type Resolution struct {
	NamedSeries
	New     bool   // the series was not known before
	Dropped string // the dimension that was dropped; empty for none
}

// LiveSeries returns how many series count against MaxSeries.
func (r *Registry) LiveSeries() int { return len(r.series) - r.overflow }

// AddRun makes a run known, whatever the limits.
func (r *Registry) AddRun(run string) { r.runs[run] = struct{}{} }

// AddSeries makes a series known, whatever the limits.
func (r *Registry) AddSeries(s NamedSeries) {
	if r.knows(s) {
		return
	}
	r.widest = ""
	r.series[s.ID] = s.Series
	r.count(s, 1)
}

// RemoveSeries forgets a series: it has room for another one, and is new when it
// comes again.
func (r *Registry) RemoveSeries(id SeriesID) {
	s, known := r.series[id]
	if !known {
		return
	}
	r.widest = ""
	delete(r.series, id)
	r.count(NamedSeries{id, s}, -1)
}

// RemoveRun forgets a run, which no series is of.
func (r *Registry) RemoveRun(run string) { delete(r.runs, run) }

// count adds n series like s to what the limits are compared with.
func (r *Registry) count(s NamedSeries, n int) {
	if s.isOverflow() {
		r.overflow += n
		return
	}
	if len(r.values) == 0 || s.Dimensions == "" {
		return
	}
	values := dimensionValues(s.Dimensions)
	for i, limit := range r.limits.Dimensions {
		value, ok := values[limit.Name]
		if !ok || value == Overflow {
			continue
		}
		if r.values[i][value] += n; r.values[i][value] <= 0 {
			delete(r.values[i], value)
		}
	}
}

// ResolveRun returns the run that spans of run are kept in, and whether it was
// not known before.
func (r *Registry) ResolveRun(run string) (kept string, isNew bool) {
	if _, known := r.runs[run]; known {
		return run, false
	}
	if len(r.runs) >= r.limits.MaxRuns {
		run = Overflow
		if _, known := r.runs[run]; known {
			return run, false
		}
	}
	r.AddRun(run)
	return run, true
}

// Resolve returns what the series is kept as, and makes that known. The run
// must have been resolved before.
func (r *Registry) Resolve(s NamedSeries) Resolution {
	if r.knows(s) {
		return Resolution{NamedSeries: s}
	}
	dropped := ""
	if limited, name := r.limitDimensions(s.Series); name != "" {
		dropped = name
		s = NamedSeries{limited.ID(), limited}
		if r.knows(s) {
			return Resolution{NamedSeries: s, Dropped: dropped}
		}
	}
	// Equal identifiers of unequal series: kept apart as an overflow series.
	_, collides := r.series[s.ID]
	if !collides && !s.isOverflow() && r.LiveSeries() < r.limits.MaxSeries {
		r.AddSeries(s)
		return Resolution{NamedSeries: s, New: true, Dropped: dropped}
	}
	dropped = r.widestDimension()
	o := s.Overflowed()
	if s = (NamedSeries{o.ID(), o}); !r.knows(s) && r.overflow >= r.limits.MaxOverflowSeries {
		o.Service = Overflow
		s = NamedSeries{o.ID(), o}
	}
	isNew := !r.knows(s)
	if isNew {
		widest := r.widest
		r.AddSeries(s)
		r.widest = widest
	}
	return Resolution{NamedSeries: s, New: isNew, Dropped: dropped}
}

func (r *Registry) knows(s NamedSeries) bool {
	known, ok := r.series[s.ID]
	return ok && known == s.Series
}

func (s *Series) isOverflow() bool {
	return s.Operation == Overflow && s.Model == Overflow && s.Provider == Overflow
}

// limitDimensions replaces the value of the first configured dimension that
// has as many values as it may, and names it.
func (r *Registry) limitDimensions(s Series) (Series, string) {
	if len(r.values) == 0 || s.Dimensions == "" {
		return s, ""
	}
	values := dimensionValues(s.Dimensions)
	dropped := ""
	for i, limit := range r.limits.Dimensions {
		value, ok := values[limit.Name]
		if !ok || value == Overflow {
			continue
		}
		if _, known := r.values[i][value]; !known && len(r.values[i]) >= limit.MaxValues {
			values[limit.Name] = Overflow
			if dropped == "" {
				dropped = limit.Name
			}
		}
	}
	if dropped != "" {
		s.Dimensions = DimensionsText(values)
	}
	return s, dropped
}

// widestDimension names the dimension with the most distinct values among the
// live series; of equals, the first in the order of the fields.
func (r *Registry) widestDimension() string {
	if r.widest != "" {
		return r.widest
	}
	names := [...]string{
		"run_id", "service", "operation", "provider", "model", "tool", "agent", "error_type", "fault", "dimensions",
	}
	var distinct [len(names)]map[string]struct{}
	for i := range distinct {
		distinct[i] = map[string]struct{}{}
	}
	for _, s := range r.series {
		if s.isOverflow() {
			continue
		}
		for i, value := range s.texts() {
			distinct[i][*value] = struct{}{}
		}
	}
	widest := 0
	for i := range distinct {
		if len(distinct[i]) > len(distinct[widest]) {
			widest = i
		}
	}
	r.widest = names[widest]
	return r.widest
}

// DimensionsText returns the stored form of configured dimensions, a JSON
// object with ascending keys; the empty string for none.
func DimensionsText(values map[string]string) string {
	if len(values) == 0 {
		return ""
	}
	text := []byte{'{'}
	for i, name := range slices.Sorted(maps.Keys(values)) {
		if i > 0 {
			text = append(text, ',')
		}
		text = AppendDimension(text, name, values[name])
	}
	return string(append(text, '}'))
}

// AppendDimension appends "name":"value" in the stored form.
func AppendDimension(dst []byte, name, value string) []byte {
	// Strings always marshal.
	n, _ := json.Marshal(name)
	v, _ := json.Marshal(value)
	return append(append(append(dst, n...), ':'), v...)
}

func dimensionValues(text string) map[string]string {
	values := map[string]string{}
	// Text that does not parse has no values to limit.
	_ = json.Unmarshal([]byte(text), &values)
	return values
}
