package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"sort"
)

const sourceRequests = "requests" // of a window that was not said, but seen

// runExtent is from when to when a run has spans, Unix nanoseconds, both ends
// included.
type runExtent struct{ first, last int64 }

func readRunExtents(ctx context.Context, tx *sql.Tx) (map[string]runExtent, error) {
	rows, err := tx.QueryContext(ctx, "SELECT run_id, first_ns, last_ns FROM run WHERE first_ns IS NOT NULL AND last_ns IS NOT NULL")
	if err != nil {
		return nil, fmt.Errorf("read extents of runs: %w", err)
	}
	defer rows.Close()
	all := map[string]runExtent{}
	for rows.Next() {
		var id string
		var e runExtent
		if err := rows.Scan(&id, &e.first, &e.last); err != nil {
			return nil, fmt.Errorf("read extents of runs: %w", err)
		}
		all[id] = e
	}
	return all, rows.Err()
}

// faultGroup is one fault in one run: the windows that tell of it.
type faultGroup struct {
	run     string
	fault   string
	target  *string
	windows []*FaultWindow
	kinds   []string // of an experiment: what requests say of it
	start   int64    // Unix nanoseconds
	end     int64
	said    bool // by somebody, not only seen
	// background: marks all through the run, which nobody has announced.
	background bool
	unmet      bool // no request started in it or was in flight
	// What keeps clear of the other faults of the run, as the relation
	// fault_periods has it.
	beforeFrom, beforeTo int64
	afterFrom, afterTo   int64
}

// until is the first instant after the fault, which lasts a nanosecond at
// least. A window that was seen ends with its last request.
func (g *faultGroup) until() int64 {
	if g.said {
		return max(g.end, g.start+1)
	}
	return g.end + 1
}

// groupFaults joins the windows of each run that tell of the same fault: equal
// in fault and target, overlapping or touching. A window that was said of no
// run counts in each run whose spans it met.
func groupFaults(windows []FaultWindow, runs map[string]runExtent) []*faultGroup {
	type name struct {
		run, fault, target string
		aimed              bool
	}
	of := map[name][]*FaultWindow{}
	for i := range windows {
		w := &windows[i]
		for _, run := range runsOf(w, runs) {
			n := name{run: run, fault: w.Fault, aimed: w.Target != nil}
			if w.Target != nil {
				n.target = *w.Target
			}
			of[n] = append(of[n], w)
		}
	}
	var all []*faultGroup
	for n, windows := range of {
		slices.SortFunc(windows, func(a, b *FaultWindow) int {
			return cmp.Or(cmp.Compare(a.StartNS, b.StartNS), cmp.Compare(a.EndNS, b.EndNS), cmp.Compare(a.WindowID, b.WindowID))
		})
		var g *faultGroup
		for _, w := range windows {
			if g == nil || w.StartNS > g.end {
				g = &faultGroup{run: n.run, fault: n.fault, target: w.Target, start: w.StartNS, end: w.EndNS}
				all = append(all, g)
			}
			g.take(w)
		}
	}
	slices.SortFunc(all, compareGroups)
	return joinBackground(joinExperiments(all), runs)
}

// joinExperiments gives what was only seen of an experiment to the fault that
// its injector tells of: an injector says when it acts, and each of the marks
// that requests carry names one of the things it does. Where several could be
// meant it is the first.
func joinExperiments(groups []*faultGroup) []*faultGroup {
	type experiment struct{ run, id string }
	said := map[experiment][]*faultGroup{}
	for _, g := range groups {
		for _, id := range g.experiments() {
			if g.said {
				said[experiment{g.run, id}] = append(said[experiment{g.run, id}], g)
			}
		}
	}
	return slices.DeleteFunc(groups, func(g *faultGroup) bool {
		ids := g.experiments()
		if g.said || len(ids) != 1 {
			return false
		}
		for _, of := range said[experiment{g.run, ids[0]}] {
			if g.start >= of.start && g.start < of.until() {
				of.windows, of.kinds = append(of.windows, g.windows...), append(of.kinds, g.fault)
				return true
			}
		}
		return false
	})
}

// experiments are the ids that the windows name, ascending.
func (g *faultGroup) experiments() []string {
	var ids []string
	for _, w := range g.windows {
		if w.ExperimentID != nil && *w.ExperimentID != "" {
			ids = append(ids, *w.ExperimentID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// take adds a window that begins within the fault. Marked requests that begin
// within a window that was said are the same fault, seen from the other side:
// however late one of them ends, the fault is over when it was said to be.
func (g *faultGroup) take(w *FaultWindow) {
	g.windows = append(g.windows, w)
	if w.Source != sourceRequests {
		g.said = true
	}
	if w.Source != sourceRequests || !g.said {
		g.end = max(g.end, w.EndNS)
	}
}

func compareGroups(a, b *faultGroup) int {
	return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end), cmp.Compare(a.run, b.run), cmp.Compare(a.fault, b.fault),
		cmp.Compare(a.windows[0].WindowID, b.windows[0].WindowID))
}

// runsOf returns the runs that a window counts in.
func runsOf(w *FaultWindow, runs map[string]runExtent) []string {
	if w.RunID != "" || w.Source == sourceRequests {
		return []string{w.RunID}
	}
	var met []string
	for id, e := range runs {
		if e.first < max(w.EndNS, w.StartNS+1) && e.last >= w.StartNS {
			met = append(met, id)
		}
	}
	if len(met) == 0 {
		return []string{""}
	}
	return met
}

// setPeriods finds what is before and after each fault of one run. Both keep
// clear of the others: they end where the next one on that side begins, and
// begin beyond all that overlap this one. Marked requests that begin within a
// fault that was said are none of the others.
func setPeriods(groups []*faultGroup) {
	byStart := slices.SortedFunc(slices.Values(groups), func(a, b *faultGroup) int { return cmp.Compare(a.start, b.start) })
	byUntil := slices.SortedFunc(slices.Values(groups), func(a, b *faultGroup) int { return cmp.Compare(a.until(), b.until()) })
	n := len(groups)
	// longest[i] is the latest end of the first i, longestSaid likewise of those
	// that were said; earliest[i] the first start of those from i on.
	longest, longestSaid, earliest := make([]int64, n+1), make([]int64, n+1), make([]int64, n+1)
	longest[0], longestSaid[0], earliest[n] = math.MinInt64, math.MinInt64, math.MaxInt64
	for i, g := range byStart {
		longest[i+1], longestSaid[i+1] = max(longest[i], g.until()), longestSaid[i]
		if g.said {
			longestSaid[i+1] = max(longestSaid[i], g.until())
		}
	}
	for i, g := range slices.Backward(byUntil) {
		earliest[i] = min(earliest[i+1], g.start)
	}
	begunBy := func(at int64) int { return sort.Search(n, func(i int) bool { return byStart[i].start >= at }) }
	for _, g := range groups {
		ended := sort.Search(n, func(i int) bool { return byUntil[i].until() > g.start })
		g.beforeFrom, g.beforeTo = math.MinInt64, min(g.start, earliest[ended])
		if ended > 0 {
			g.beforeFrom = byUntil[ended-1].until()
		}
		next := begunBy(g.until())
		g.afterFrom, g.afterTo = max(g.until(), longest[next]), math.MaxInt64
		if g.said {
			g.afterFrom = max(g.until(), longestSaid[next], longest[begunBy(g.start)])
		}
		if next < n {
			g.afterTo = byStart[next].start
		}
	}
}
