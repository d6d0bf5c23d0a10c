//go:build !race

// One goroutine reads: the race detector has nothing to find, and makes SQLite in
// Go twenty times slower.

package storage

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// faultWindow is a window as these tests find it, with the run it is applied
// to.
type faultWindow struct {
	statedWindow
	id      string
	applied string
	marked  float64
}

// until is the first instant after it.
func (w *faultWindow) until() int64 { return max(w.end, w.start+1) }

func (w *faultWindow) overlaps(start, until int64) bool { return w.start < until && start < w.until() }

func windowID(w statedWindow) string {
	escape := func(text string) string { return strings.ReplaceAll(strings.ReplaceAll(text, "%", "%25"), "/", "%2F") }
	return fmt.Sprintf("%s/%s/%s/%s/%s/%d", w.source, escape(w.run), escape(w.fault), escape(w.target), escape(w.experiment), at(w.start))
}

func markWeight(s *activitySpan) float64 {
	switch {
	case !s.isRequest():
		return 0
	case s.kept&4 != 0:
		return 1
	default:
		return spanWeight(s)
	}
}

// wantedWindows joins marked spans pair by pair until nothing is left to join.
func wantedWindows(a *activity) (found []faultWindow) {
	gap := a.gap
	if gap == 0 {
		gap = 5 * second
	}
	for i := range a.spans {
		s := &a.spans[i]
		if !s.marked {
			continue
		}
		made := statedWindow{"requests", s.run, s.fault, s.target, s.experiment, s.start, s.end()}
		marked := markWeight(s)
		for j := 0; j < len(found); {
			w := found[j]
			same := w.run == made.run && w.fault == made.fault && w.target == made.target && w.experiment == made.experiment
			if !same || max(w.start, made.start)-min(w.end, made.end) > gap {
				j++
				continue
			}
			made.start, made.end, marked = min(made.start, w.start), max(made.end, w.end), marked+w.marked
			found = slices.Delete(found, j, j+1)
			j = 0
		}
		found = append(found, faultWindow{statedWindow: made, marked: marked})
	}
	for _, w := range a.windows {
		same := slices.IndexFunc(found, func(f faultWindow) bool { return windowID(f.statedWindow) == windowID(w) })
		if same >= 0 {
			found[same].end = max(found[same].end, w.end)
			continue
		}
		found = append(found, faultWindow{statedWindow: w})
	}
	for i := range found {
		w := &found[i]
		w.id, w.applied = windowID(w.statedWindow), w.run
		if w.source == "requests" {
			continue
		}
		for j := range a.spans {
			s := &a.spans[j]
			within := s.marked && w.start <= s.start && s.start < w.until() && (w.run == "" || w.run == s.run)
			if within && (s.fault == w.fault || !slices.ContainsFunc(a.spans, func(m activitySpan) bool { return m.marked && m.fault == w.fault })) {
				w.marked += markWeight(s)
			}
		}
	}
	return found
}

// appliedWindows are the windows of each run: its own, and those of no run
// that it met.
func appliedWindows(a *activity) (applied []faultWindow) {
	extents := a.extents()
	for _, w := range wantedWindows(a) {
		if w.run != "" || w.source == "requests" {
			applied = append(applied, w)
			continue
		}
		met := false
		for run, extent := range extents {
			if extent.start < w.until() && extent.end >= w.start {
				w.applied, met = run, true
				applied = append(applied, w)
			}
		}
		if !met {
			w.applied = ""
			applied = append(applied, w)
		}
	}
	return applied
}

// neighbours returns the other windows of the run. What marks say of a fault
// that was said to begin before is no other.
func neighbours(all []faultWindow, w *faultWindow) (others []faultWindow) {
	for _, o := range all {
		same := w.source != "requests" && o.source == "requests" && w.start <= o.start && o.start < w.until()
		if o.applied == w.applied && o.id != w.id && !same {
			others = append(others, o)
		}
	}
	return others
}

// phaseOf says what an interval is to a window: empty for nothing.
func phaseOf(w *faultWindow, others []faultWindow, start, until int64) string {
	switch {
	case start >= w.start && until <= w.until():
		return "during"
	case w.overlaps(start, until):
		return "edge"
	}
	for i := range others {
		o := &others[i]
		if o.overlaps(start, until) {
			return ""
		}
		if !o.overlaps(w.start, w.until()) && (o.until() <= w.start && start < o.until() || o.start >= w.until() && until > o.start) {
			return "" // beyond a neighbour
		}
	}
	if until <= w.start {
		return "before"
	}
	// Beyond one that overlaps this window, on the far side.
	return "after"
}

func TestFaultWindowsAndPhases(t *testing.T) {
	eachActivity(t, func(t *testing.T, a *activity, path string) {
		var windows, phases []row
		for _, w := range wantedWindows(a) {
			windows = append(windows, row{
				"window_id": w.id, "run_id": w.run, "fault": w.fault, "target": orNull(w.target), "start_utc": utc(w.start), "end_utc": utc(w.end),
				"start_ns": at(w.start), "end_ns": at(w.end), "source": w.source, "experiment_id": orNull(w.experiment),
				"requests": int64(math.Floor(w.marked + 0.5)),
			})
		}
		requireView(t, path, "fault_windows", []string{"window_id"}, windows)
		applied := appliedWindows(a)
		for i := range applied {
			w := &applied[i]
			others := neighbours(applied, w)
			seen := map[activityBucket]bool{}
			for _, b := range a.buckets() {
				b.category = ""
				start := b.start*second - anInstant.UnixNano()
				phase := phaseOf(w, others, start, start+b.width*second)
				if b.run != w.applied || seen[b] || phase == "" {
					continue
				}
				seen[b] = true
				phases = append(phases, row{
					"window_id": w.id, "run_id": b.run, "fault": w.fault, "target": orNull(w.target), "width_s": b.width, "bucket_start": b.start,
					"phase": phase,
				})
			}
		}
		requireView(t, path, "phases", []string{"window_id", "run_id", "width_s", "bucket_start"}, phases)
	})
}

// weighted is a measurement that stands for weight spans.
type weighted struct {
	ns     int64
	weight float64
}

func weightedRank(all []weighted, percent float64) any {
	slices.SortFunc(all, func(a, b weighted) int { return cmp.Compare(a.ns, b.ns) })
	total, upto := 0.0, 0.0
	for _, w := range all {
		total += w.weight
	}
	for _, w := range all {
		if upto += w.weight; upto*100 >= total*percent {
			return float64(w.ns) / 1e6
		}
	}
	return nil
}

func weightedMean(all []weighted) any {
	sum, weight := 0.0, 0.0
	for _, w := range all {
		sum += float64(w.ns) / 1e6 * w.weight
		weight += w.weight
	}
	return ratio(sum, weight)
}

func summary(spans []*activitySpan, phase string, into row) {
	var all, failed float64
	var took, net []weighted
	var cost any
	for _, s := range spans {
		weight := spanWeight(s)
		all += weight
		if s.failed() {
			failed += weight
		}
		if s.duration >= 0 {
			took = append(took, weighted{s.duration, weight})
			if delay := max(0, s.delay); delay <= s.duration {
				net = append(net, weighted{s.duration - delay, weight})
			}
		}
		if s.cost != unstated {
			if cost == nil {
				cost = 0.0
			}
			cost = cost.(float64) + float64(s.cost)*weight/1e9
		}
	}
	measures := row{
		"requests": all, "error_rate": ratio(failed, all), "avg_latency_ms": weightedMean(took), "p50_latency_ms": weightedRank(took, 50),
		"p95_latency_ms": weightedRank(took, 95), "p99_latency_ms": weightedRank(took, 99), "avg_net_latency_ms": weightedMean(net),
		"p99_net_latency_ms": weightedRank(net, 99), "cost_usd": cost,
	}
	for column, value := range measures {
		into[column+"_"+phase] = value
	}
}

// wantedRecovery goes through the buckets after a window one by one. What
// another window hides is not known.
func wantedRecovery(w *faultWindow, others []faultWindow, before row, after []*activitySpan) any {
	if before["requests_before"] == 0.0 {
		return nil
	}
	for i := range others {
		if others[i].start < w.until() && others[i].until() > w.until() {
			return nil
		}
	}
	buckets := map[int64][]*activitySpan{}
	for _, s := range after {
		start := at(s.start) / second / seriesWidth * seriesWidth
		buckets[start] = append(buckets[start], s)
	}
	starts := slices.Sorted(maps.Keys(buckets))
	good := func(i int) bool {
		if i >= len(starts) {
			return true
		}
		is := row{}
		summary(buckets[starts[i]], "now", is)
		if is["error_rate_now"].(float64) > before["error_rate_before"].(float64)+0.05+1e-9 {
			return false
		}
		limit, slow := before["p95_latency_ms_before"], is["p95_latency_ms_now"]
		return limit == nil || slow == nil || slow.(float64) <= 1.5*limit.(float64)+1e-9
	}
	for i, start := range starts {
		if good(i) && good(i+1) && good(i+2) {
			return float64(max(0, start*second-at(w.end))) / 1e9
		}
	}
	return nil
}

// missesRequests says whether a bucket near a window counts requests of which
// none is kept.
func missesRequests(a *activity, w *faultWindow, others []faultWindow) bool {
	from, to := int64(math.MinInt64), int64(math.MaxInt64)
	for i := range others {
		if o := &others[i]; o.until() <= w.start {
			from = max(from, o.until())
		} else if o.start >= w.until() {
			to = min(to, o.start)
		}
	}
	return slices.ContainsFunc(a.buckets(), func(b activityBucket) bool {
		start := b.start*second - anInstant.UnixNano()
		end := start + b.width*second
		counts := b.category == "llm" || b.category == "embedding"
		return b.width == seriesWidth && b.run == w.applied && counts && end > from && start < to &&
			!slices.ContainsFunc(a.spans, func(s activitySpan) bool {
				return s.run == b.run && s.kept&1 != 0 && s.isRequest() && start <= s.start && s.start < end
			})
	})
}

func wantedImpact(a *activity) (impact []row) {
	applied := appliedWindows(a)
	for i := range applied {
		w := &applied[i]
		others := neighbours(applied, w)
		of := map[string][]*activitySpan{}
		for j := range a.spans {
			s := &a.spans[j]
			if s.run != w.applied || s.kept&1 == 0 || !s.isRequest() {
				continue
			}
			var phase string
			switch {
			case w.start <= s.start && (s.start < w.until() || w.source == "requests" && s.marked && s.start == w.end):
				phase = "during"
			case s.start < w.start && s.end() > w.start:
				phase = "straddling"
			case s.start < w.start:
				phase = phaseOf(w, others, s.start, max(s.end(), s.start+1))
			default:
				phase = phaseOf(w, others, s.start, s.start+1)
			}
			of[phase] = append(of[phase], s)
		}
		one := row{
			"window_id": w.id, "run_id": w.applied, "fault": w.fault, "target": orNull(w.target), "start_utc": utc(w.start), "end_utc": utc(w.end),
			"straddling": 0.0,
		}
		for _, phase := range []string{"before", "during", "after"} {
			summary(of[phase], phase, one)
		}
		for _, s := range of["straddling"] {
			one["straddling"] = one["straddling"].(float64) + spanWeight(s)
		}
		if len(of["before"])+len(of["during"])+len(of["after"])+len(of["straddling"]) == 0 && missesRequests(a, w, others) {
			for _, column := range []string{"requests_before", "requests_during", "requests_after", "straddling"} {
				one[column] = nil
			}
		}
		one["recovery_s"] = wantedRecovery(w, others, one, of["after"])
		edges, inside, seen := 0.0, 0.0, map[int64]bool{}
		for _, b := range a.buckets() {
			if b.width != seriesWidth || b.run != w.applied || seen[b.start] {
				continue
			}
			seen[b.start] = true
			start := b.start*second - anInstant.UnixNano()
			switch phaseOf(w, nil, start, start+seriesWidth*second) {
			case "edge":
				edges++
			case "during":
				inside++
			}
		}
		one["edge_share"] = ratio(edges, edges+inside)
		impact = append(impact, one)
	}
	return impact
}

func TestFaultImpact(t *testing.T) {
	eachActivity(t, func(t *testing.T, a *activity, path string) {
		requireView(t, path, "fault_impact", []string{"window_id", "run_id"}, wantedImpact(a))
	})
}

// steady are chats of one second, one per second from start to end; those for
// which bad says so fail and take ten.
func steady(start, end int64, bad func(at int64) bool) (spans []activitySpan) {
	for sec := start; sec < end; sec++ {
		spans = append(spans, aSpan(func(s *activitySpan) {
			s.trace, s.span, s.start, s.duration = 1, uint64(sec+1), sec*second, second/2
			if bad(sec) {
				s.outcome, s.duration = "server_error", 10*second
			}
		}))
	}
	return spans
}

func window(start, end int64) statedWindow {
	return statedWindow{"injector", "r", "latency", "db", "", start * second, end * second}
}

func impactOf(t *testing.T, a *activity, start int64) row {
	t.Helper()
	for _, r := range readView(t, a.file(t, seedtest.Rand(t)), "fault_impact") {
		if r["start_utc"] == utc(start*second) {
			return r
		}
	}
	t.Fatalf("no window starts at %d s", start)
	return nil
}

func TestRecovery(t *testing.T) {
	during := func(until int64) func(int64) bool { return func(at int64) bool { return at >= 60 && at < until } }
	for name, c := range map[string]struct {
		spans []activitySpan
		want  any
	}{
		"at once":        {steady(0, 180, during(90)), 0.0},
		"after 30 s":     {steady(0, 180, during(120)), 30.0},
		"never":          {steady(0, 180, during(180)), nil},
		"without before": {steady(60, 180, during(120)), nil},
		"without after":  {steady(0, 90, during(90)), nil},
		"a good bucket among bad ones": {steady(0, 180, func(at int64) bool {
			return at >= 60 && at < 130 && (at < 100 || at >= 110)
		}), 40.0},
		"two good buckets among bad ones": {steady(0, 180, func(at int64) bool {
			return at >= 60 && at < 130 && (at < 100 || at >= 120)
		}), 40.0},
		"the last bucket alone": {steady(0, 180, during(170)), 80.0},
	} {
		t.Run(name, func(t *testing.T) {
			a := activity{spans: c.spans, windows: []statedWindow{window(60, 90)}}
			requireClose(t, c.want, impactOf(t, &a, 60)["recovery_s"], "recovery_s")
		})
	}
}

// TestLimitsOfRecovery: the error share may be 0.05 above that of before, and
// p95 half as long again.
func TestLimitsOfRecovery(t *testing.T) {
	for name, c := range map[string]struct {
		failing  int64 // of 20 in a bucket
		duration int64
		want     any
	}{
		"one in twenty":      {1, second / 2, 0.0},
		"two in twenty":      {2, second / 2, nil},
		"half as long again": {0, second / 4 * 3, 0.0},
		"longer than that":   {0, second/4*3 + 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := activity{spans: steady(0, 60, func(int64) bool { return false }), windows: []statedWindow{window(60, 90)}}
			for i := range int64(80) {
				a.spans = append(a.spans, aSpan(func(s *activitySpan) {
					s.span, s.start, s.duration = uint64(1000+i), 90*second+i*second/2, c.duration
					if i%20 < c.failing {
						s.outcome = "server_error"
					}
				}))
			}
			requireClose(t, c.want, impactOf(t, &a, 60)["recovery_s"], "recovery_s")
		})
	}
}

// TestStraddling: what was in flight when the window opened is neither before
// nor during.
func TestStraddling(t *testing.T) {
	a := activity{windows: []statedWindow{window(60, 90)}, spans: []activitySpan{
		aSpan(func(s *activitySpan) { s.span, s.start, s.duration = 1, 58*second, 2*second }),
		aSpan(func(s *activitySpan) { s.span, s.start, s.duration, s.weight = 2, 59*second, 2*second, 4e6 }),
		aSpan(func(s *activitySpan) { s.span, s.start, s.duration = 3, 1*second, 80*second }),
		aSpan(func(s *activitySpan) { s.span, s.start = 4, 60*second }),
		aSpan(func(s *activitySpan) { s.span, s.start = 5, 91*second }),
	}}
	got := impactOf(t, &a, 60)
	for column, want := range map[string]float64{"requests_before": 1, "requests_during": 1, "requests_after": 1, "straddling": 5} {
		require.Equal(t, want, got[column], column)
	}
}
