package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

const (
	// maxFaults is how many faults are answered.
	maxFaults = 100
	// minAside and maxAside bound how long before and after are, nanoseconds.
	minAside = int64(time.Minute)
	maxAside = int64(time.Hour)
)

// AskFaultImpact answers what the faults did that overlap the interval of q.
//
// A request belongs to the phase that it starts in. Figures come from whole
// buckets, the widest that fit; of buckets that a phase cuts, and of those with
// requests that were in flight when a fault began, from the single requests, if
// every one is kept: else these buckets are left out. A phase without a whole
// bucket is estimated from the requests that are kept.
//
// In a file of a schema without fault windows it returns storage.ErrOlder.
func AskFaultImpact(ctx context.Context, tx *sql.Tx, q Query) (*FaultImpact, error) {
	return AskFaultImpactOf(ctx, tx, FaultImpactQuery{Query: q})
}

// FaultImpactQuery asks the same, with what is known already, and of fewer.
type FaultImpactQuery struct {
	Query
	// Windows are those of the file, as AskFaultWindows has read them in the
	// same transaction; nil: they are read.
	Windows *FaultWindows
	Limit   int // of faults, the longest; 0, and more than 100: 100
}

// AskFaultImpactOf is AskFaultImpact for those who ask several times.
func AskFaultImpactOf(ctx context.Context, tx *sql.Tx, q FaultImpactQuery) (*FaultImpact, error) {
	answer, err := askFaultImpact(ctx, tx, q)
	if err != nil {
		return nil, fmt.Errorf("fault impact: %w", err)
	}
	return answer, nil
}

func askFaultImpact(ctx context.Context, tx *sql.Tx, q FaultImpactQuery) (*FaultImpact, error) {
	r, err := newReading(ctx, tx, q.Query, false)
	if err != nil {
		return nil, err
	}
	if err := r.choose(ctx, tx, r.categories()); err != nil {
		return nil, err
	}
	windows := q.Windows
	if windows == nil {
		if windows, err = AskFaultWindows(ctx, tx); err != nil {
			return nil, err
		}
	}
	runs, err := readRunExtents(ctx, tx)
	if err != nil {
		return nil, err
	}
	answer := &FaultImpact{Scope: r.scope, Windows: []FaultWindow{}, Rows: []Fault{}, Unmet: []JoinedFault{}}
	// Faults are looked at as a whole, also beyond the interval.
	answer.Moved = false
	groups := groupFaults(windows.Rows, runs)
	if len(groups) == 0 {
		return answer, nil
	}
	f, err := newImpactReading(ctx, tx, r)
	if err != nil {
		return nil, err
	}
	answer.WidthS = f.edgeWidth
	if err := f.findUnmet(ctx, groups); err != nil {
		return nil, err
	}
	groups = chooseFaults(groups, r.query)
	answer.Windows = windowsOf(windows.Rows, groups)
	for _, g := range answer.bound(groups, q.Limit) {
		fault, err := f.fault(ctx, g, runs[g.run])
		if err != nil {
			return nil, err
		}
		answer.Rows = append(answer.Rows, *fault)
	}
	return answer, nil
}

// bound takes the faults that no request met, and returns the others, as many
// as are answered.
func (answer *FaultImpact) bound(groups []*faultGroup, limit int) (met []*faultGroup) {
	for _, g := range groups {
		switch {
		case !g.unmet:
			met = append(met, g)
		case len(answer.Unmet) < maxFaults:
			answer.Unmet = append(answer.Unmet, g.joined())
		default:
			answer.UnmetLeft++
		}
	}
	most := maxFaults
	if limit > 0 {
		most = min(limit, maxFaults)
	}
	if n := len(met); n > most {
		answer.Left = int64(n - most)
		slices.SortStableFunc(met, func(a, b *faultGroup) int { return cmp.Compare(b.until()-b.start, a.until()-a.start) })
		met = met[:most]
		slices.SortFunc(met, compareGroups)
	}
	return met
}

// KeepLongest leaves the n longest faults, in the order of their start; 0 leaves
// all.
func (answer *FaultImpact) KeepLongest(n int) {
	if n <= 0 || n >= len(answer.Rows) {
		return
	}
	answer.Left += int64(len(answer.Rows) - n)
	order := make([]int, len(answer.Rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(answer.Rows[b].DurationS, answer.Rows[a].DurationS) })
	rows := make([]Fault, 0, n)
	for _, i := range slices.Sorted(slices.Values(order[:n])) {
		rows = append(rows, answer.Rows[i])
	}
	answer.Rows = rows
}

// windowsOf returns those of the windows that the faults are made of.
func windowsOf(all []FaultWindow, groups []*faultGroup) []FaultWindow {
	used := map[*FaultWindow]bool{}
	for _, g := range groups {
		for _, w := range g.windows {
			used[w] = true
		}
	}
	windows := make([]FaultWindow, 0, len(used))
	for i := range all {
		if used[&all[i]] {
			windows = append(windows, all[i])
		}
	}
	return windows
}

// chooseFaults sets the periods of all faults and returns those that q asks
// for.
func chooseFaults(all []*faultGroup, q Query) (chosen []*faultGroup) {
	byRun := map[string][]*faultGroup{}
	for _, g := range all {
		switch {
		case g.background: // it has no neighbours: there is no time without it
			g.beforeFrom, g.beforeTo, g.afterFrom, g.afterTo = g.start, g.start, g.until(), g.until()
		case !g.unmet: // what no request met changes nothing for others
			byRun[g.run] = append(byRun[g.run], g)
		}
	}
	for _, groups := range byRun {
		setPeriods(groups)
	}
	for _, g := range all {
		if g.within(q) {
			chosen = append(chosen, g)
		}
	}
	return chosen
}

// within tells whether a fault is of the run, and touches the interval, of q.
func (g *faultGroup) within(q Query) bool {
	return (q.Run == nil || g.run == *q.Run) && (q.From.IsZero() || g.until() > q.From.UnixNano()) && (q.To.IsZero() || g.start < q.To.UnixNano())
}

// noneIn tells whether it is known that no request starts in an interval.
func (t *tally) noneIn(of interval) bool {
	of = of.nonEmpty()
	return t.requests == 0 && t.keptOut == 0 && t.covered == of.to-of.from
}

// undisturbed tells whether no other fault of the run bounds what is before and
// after.
func (g *faultGroup) undisturbed() bool {
	return g.beforeFrom == math.MinInt64 && g.beforeTo == g.start && g.afterFrom == g.until() && g.afterTo == math.MaxInt64
}

// fault computes everything about one fault.
func (f *impactReading) fault(ctx context.Context, g *faultGroup, run runExtent) (*Fault, error) {
	fault := &Fault{JoinedFault: g.joined(), Recovery: RecoveryUnknown}
	known := runExtent{run.first, min(addCapped(run.last, 1), f.settled)} // its end not included
	fault.OpenEnd = g.until() > known.last
	aside := min(max(g.until()-g.start, minAside), maxAside)
	before := interval{max(g.beforeFrom, addCapped(g.beforeTo, -aside), known.first), min(g.beforeTo, known.last)}
	during := interval{max(g.start, known.first), min(g.until(), known.last)}
	after := interval{g.afterFrom, min(g.afterTo, addCapped(g.afterFrom, aside), known.last)}
	f.run, f.single = g.run, 0
	f.cache = map[[2]int64]*rawBucket{}
	sums := map[string]*tally{}
	for _, p := range []struct {
		name   string
		during interval
		endsBy int64
		into   *ImpactPhase
	}{
		{"before", before, g.beforeTo, &fault.Before}, {"during", during, math.MaxInt64, &fault.During},
		{"after", after, math.MaxInt64, &fault.After},
	} {
		t, err := f.sum(ctx, p.during.nonEmpty(), p.endsBy)
		if err != nil {
			return nil, err
		}
		*p.into = t.phase(p.during.from, max(p.during.from, p.during.to))
		sums[p.name] = t
	}
	if err := f.straddling(ctx, g, known, fault); err != nil {
		return nil, err
	}
	if err := f.edges(ctx, g, fault); err != nil {
		return nil, err
	}
	fault.Throughout = g.background || g.undisturbed() && run.last < f.settled && sums["during"].requests > 0 &&
		sums["before"].noneIn(before) && sums["after"].noneIn(after)
	fault.DuringBefore, fault.AfterBefore = compare(&fault.During, &fault.Before), compare(&fault.After, &fault.Before)
	return fault, f.recovery(ctx, g, known, sums["before"], fault)
}

func addCapped(a, b int64) int64 {
	switch {
	case b > 0 && a > math.MaxInt64-b:
		return math.MaxInt64
	case b < 0 && a < math.MinInt64-b:
		return math.MinInt64
	}
	return a + b
}

// compare says how a phase differs from before.
func compare(p, before *ImpactPhase) ImpactDelta {
	ratio := func(a, b *float64) *float64 {
		if a == nil || b == nil || *b == 0 {
			return nil
		}
		v := *a / *b
		return &v
	}
	d := ImpactDelta{
		RequestsPerS: ratio(p.RequestsPerS, before.RequestsPerS),
		P50:          ratio(p.Latency.P50MS, before.Latency.P50MS), P95: ratio(p.Latency.P95MS, before.Latency.P95MS),
		P99:    ratio(p.Latency.P99MS, before.Latency.P99MS),
		NetP50: ratio(p.NetLatency.P50MS, before.NetLatency.P50MS), NetP95: ratio(p.NetLatency.P95MS, before.NetLatency.P95MS),
		NetP99: ratio(p.NetLatency.P99MS, before.NetLatency.P99MS), TTFTP95: ratio(p.TTFT.P95MS, before.TTFT.P95MS),
	}
	if p.ErrorRate != nil && before.ErrorRate != nil {
		difference := *p.ErrorRate - *before.ErrorRate
		d.ErrorRate = &difference
	}
	return d
}

// settledUntilNS is the Unix nanosecond from which on buckets are open.
func settledUntilNS(q *Query, settle time.Duration, finest int64) int64 {
	if q.IncludeOpen {
		return math.MaxInt64
	}
	return aggregator.BucketStart(q.Now.Add(-settle).Unix(), finest) * int64(time.Second)
}
