package analysis_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/folding"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// chatTold is a chat as the oracle knows it; times are Unix nanoseconds.
type chatTold struct {
	run             string
	start, duration int64
	failed, marked  bool
	delay           int64
	input           int64
	cost            float64
}

func (c *chatTold) end() int64 { return c.start + c.duration }

// randomFaults tells of three minutes of chats in three runs, or of scale times
// as many, with marked ones in some stretches, and of injectors that say, exactly
// or not, when that was.
func randomFaults(r *rand.Rand, scale float64) (*story, []chatTold) {
	s := newStory()
	var told []chatTold
	type stretch struct {
		run, fault string
		from, to   float64
		delay      int
	}
	runs := []string{"run-1", "run-2", ""}
	var stretches []stretch
	for range 1 + r.IntN(4) {
		from := (100 + r.Float64()*80) * scale // what is all through a run is told otherwise
		x := stretch{runs[r.IntN(3)], []string{"latency", "abort"}[r.IntN(2)], from, from + 1 + r.Float64()*40*scale, r.IntN(3) * 400}
		stretches = append(stretches, x)
		if r.IntN(3) == 0 { // perhaps between two chats
			s.run = x.run
			s.injector(r.Float64()*180*scale, r.Float64()*0.2, "kill")
		}
		for range r.IntN(3) {
			s.run = x.run
			skew := r.Float64() * 4
			s.injector(x.from-skew+2, x.to-x.from+skew*r.Float64(), x.fault, "chaos.experiment.id", fmt.Sprint("e", r.IntN(3)))
		}
	}
	for range 100 + r.IntN(500) {
		c := chatTold{run: runs[r.IntN(3)], failed: r.IntN(6) == 0, input: 1 + r.Int64N(500)}
		at, lasts := r.Float64()*200*scale, r.ExpFloat64()*1.5
		if r.IntN(30) == 0 {
			lasts = r.Float64() * 60
		}
		more := []any{"gen_ai.usage.input_tokens", c.input, "gen_ai.usage.output_tokens", int64(1)}
		if r.IntN(2) == 0 {
			c.cost = float64(1 + r.IntN(1000))
			more = append(more, "gen_ai.usage.cost", c.cost)
		}
		for _, x := range stretches {
			if x.run == c.run && at >= x.from && at < x.to && r.IntN(3) > 0 && !c.marked {
				c.marked, c.delay = true, int64(x.delay)*1e6
				more = append(more, "chaos.fault.type", x.fault, "chaos.fault.latency_ms", int64(x.delay))
			}
		}
		if c.failed {
			more = append(more, "error.type", "503")
		}
		s.run = c.run
		span := s.chat(at, lasts, more...)
		c.start, c.duration = int64(span.StartTimestamp()), int64(span.EndTimestamp()-span.StartTimestamp())
		told = append(told, c)
	}
	return s, told
}

// wantedFault is a fault as the oracle finds it.
type wantedFault struct {
	run, fault           string
	start, end           int64
	said                 bool
	beforeFrom, beforeTo int64
	afterFrom, afterTo   int64
}

func (w *wantedFault) until() int64 {
	if w.said {
		return max(w.end, w.start+1)
	}
	return w.end + 1
}

// extents are when each run begins and ends. Injectors are spans too.
func extents(told []chatTold, windows []analysis.FaultWindow) map[string][2]int64 {
	all := map[string][2]int64{}
	extend := func(run string, from, to int64) {
		e, ok := all[run]
		if !ok {
			e = [2]int64{from, to}
		}
		all[run] = [2]int64{min(e[0], from), max(e[1], to)}
	}
	for _, c := range told {
		extend(c.run, c.start, c.end())
	}
	for _, w := range windows {
		if w.Source == "injector" {
			extend(w.RunID, w.StartNS, w.EndNS)
		}
	}
	return all
}

// applied says windows of no run of every run that they met.
func applied(windows []analysis.FaultWindow, runs map[string][2]int64) (all []analysis.FaultWindow) {
	for _, w := range windows {
		if w.RunID != "" || w.Source == "requests" {
			all = append(all, w)
			continue
		}
		for run, e := range runs {
			if e[0] < max(w.EndNS, w.StartNS+1) && e[1] >= w.StartNS {
				w.RunID = run
				all = append(all, w)
			}
		}
	}
	return all
}

// wantedFaults joins windows until nothing is left to join: those that were
// said first, then those that were seen. Those that no chat met come apart, and
// count as no neighbours.
func wantedFaults(windows []analysis.FaultWindow, told []chatTold) (found, unmet []*wantedFault) {
	for _, said := range []bool{true, false} {
		for _, w := range windows {
			if (w.Source != "requests") != said {
				continue
			}
			made := &wantedFault{run: w.RunID, fault: w.Fault, start: w.StartNS, end: w.EndNS, said: said}
			for again := true; again; {
				again = false
				for i, o := range found {
					if o.run != made.run || o.fault != made.fault || o.start > made.end || made.start > o.end {
						continue
					}
					if !(o.said && !made.said && made.start >= o.start) {
						o.end = max(o.end, made.end)
					}
					o.start, o.said = min(o.start, made.start), o.said || made.said
					made, found, again = o, slices.Delete(found, i, i+1), true
					break
				}
			}
			found = append(found, made)
		}
	}
	found = slices.DeleteFunc(found, func(w *wantedFault) bool {
		met := slices.ContainsFunc(told, func(c chatTold) bool {
			return c.run == w.run && c.start < w.until() && (c.start >= w.start || c.end() > w.start)
		})
		if !met {
			unmet = append(unmet, w)
		}
		return !met
	})
	for _, w := range found {
		w.beforeFrom, w.beforeTo, w.afterFrom, w.afterTo = math.MinInt64, w.start, w.until(), math.MaxInt64
		for _, o := range found {
			if o == w || o.run != w.run || w.said && !o.said && o.start >= w.start && o.start < w.until() {
				continue
			}
			if o.until() <= w.start {
				w.beforeFrom = max(w.beforeFrom, o.until())
			} else {
				w.beforeTo = min(w.beforeTo, o.start)
			}
			if o.start >= w.until() {
				w.afterTo = min(w.afterTo, o.start)
			} else {
				w.afterFrom = max(w.afterFrom, o.until())
			}
		}
	}
	slices.SortFunc(found, func(a, b *wantedFault) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end), cmp.Compare(a.run, b.run), cmp.Compare(a.fault, b.fault))
	})
	return found, unmet
}

func between(told []chatTold, run string, from, to, endsBy int64) (chosen []*chatTold) {
	for i := range told {
		if c := &told[i]; c.run == run && c.start >= from && c.start < to && c.end() <= endsBy {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

func nearestRank(values []int64, percent int) float64 {
	slices.Sort(values)
	return float64(values[(len(values)*percent+99)/100-1]) / 1e6
}

func requirePhase(t *testing.T, p *analysis.ImpactPhase, chats []*chatTold, started int, what string) {
	t.Helper()
	if p.FromNS >= p.ToNS {
		require.Nil(t, p.Requests, what)
		return
	}
	require.Equal(t, float64(len(chats)), *p.Requests, what)
	require.InDelta(t, float64(p.ToNS-p.FromNS)/1e9, p.CoveredS, 1e-9, what)
	if p.CoveredS < 1 {
		require.Nil(t, p.RequestsPerS, what)
	} else {
		require.InDelta(t, float64(started)/p.CoveredS, *p.RequestsPerS, 1e-6, what)
	}
	var took, net []int64
	var sum, netSum, cost, input float64
	var failed, marked, priced int
	for _, c := range chats {
		took = append(took, c.duration)
		sum += float64(c.duration) / 1e6
		if c.delay <= c.duration {
			net = append(net, c.duration-c.delay)
			netSum += float64(c.duration-c.delay) / 1e6
		}
		if c.failed {
			failed++
		}
		if c.marked {
			marked++
		}
		if c.cost > 0 {
			priced++
			cost += c.cost
		}
		input += float64(c.input)
	}
	require.Equal(t, float64(failed), *p.Errors, what)
	require.Equal(t, float64(marked), *p.Injected, what)
	if len(chats) == 0 {
		require.Nil(t, p.ErrorRate, what)
		require.Nil(t, p.Latency.P50MS, what)
		return
	}
	require.InDelta(t, float64(failed)/float64(len(chats)), *p.ErrorRate, 1e-9, what)
	require.InDelta(t, 1-float64(failed)/float64(len(chats)), *p.SuccessShare, 1e-9, what)
	require.InEpsilon(t, sum/float64(len(took)), *p.Latency.AvgMS, 1e-9, what)
	require.Equal(t, input, *p.InputTokens, what)
	if priced > 0 {
		require.InEpsilon(t, cost, *p.CostUSD, 1e-9, what)
	} else {
		require.Nil(t, p.CostUSD, what)
	}
	for percent, got := range map[int]*float64{50: p.Latency.P50MS, 95: p.Latency.P95MS, 99: p.Latency.P99MS} {
		require.InEpsilon(t, nearestRank(took, percent), *got, 1.0/127, "%s p%d", what, percent)
	}
	require.Equal(t, float64(len(net)), p.NetLatency.Count, what)
	if len(net) == 0 {
		return
	}
	require.InDelta(t, netSum/float64(len(net)), *p.NetLatency.AvgMS, 1e-6, what)
	for percent, got := range map[int]*float64{50: p.NetLatency.P50MS, 95: p.NetLatency.P95MS, 99: p.NetLatency.P99MS} {
		require.InEpsilon(t, nearestRank(net, percent), *got, 1.0/127, "%s net p%d", what, percent)
	}
}

// Every figure follows from the chats one by one: whatever the windows, and
// however buckets are cut.
func TestFaultImpactAgainstSingleChats(t *testing.T) {
	r := seedtest.Rand(t)
	for round := range 12 {
		s, told := randomFaults(r, []float64{1, 1, 15}[round%3])
		path := s.file(t, func(o *folding.Settings) { o.Storage.FaultGap = time.Duration(1+r.IntN(8)) * time.Second })
		answer := ask(t, path, faultImpact(analysis.Query{Now: later}))
		runs := extents(told, answer.Windows)
		want, unmet := wantedFaults(applied(answer.Windows, runs), told)
		require.Len(t, answer.Rows, len(want))
		require.Len(t, answer.Unmet, len(unmet))
		for i, w := range want {
			got := &answer.Rows[i]
			what := fmt.Sprintf("%s in %q from %d to %d", w.fault, w.run, w.start, w.end)
			require.Equal(t, []any{w.run, w.fault, w.start, w.end}, []any{got.RunID, got.Fault, got.StartNS, got.EndNS}, what)
			first, last := runs[w.run][0], runs[w.run][1]
			aside := min(max(w.until()-w.start, 60e9), 3600e9)
			from := max(w.beforeFrom, w.beforeTo-aside, first)
			require.Equal(t, []int64{from, max(from, w.beforeTo)}, []int64{got.Before.FromNS, got.Before.ToNS}, what)
			requirePhase(t, &got.Before, between(told, w.run, from, w.beforeTo, w.beforeTo), len(between(told, w.run, from, w.beforeTo, math.MaxInt64)), what+": before")
			during := between(told, w.run, w.start, w.until(), math.MaxInt64)
			requirePhase(t, &got.During, during, len(during), what+": during")
			to := min(w.afterTo, w.afterFrom+aside, last+1)
			after := between(told, w.run, w.afterFrom, to, math.MaxInt64)
			requirePhase(t, &got.After, after, len(after), what+": after")
			straddling := 0
			for _, c := range told {
				if c.run == w.run && c.start < w.start && c.end() > w.start {
					straddling++
				}
			}
			require.Equal(t, float64(straddling), *got.Straddling, what)
			require.False(t, got.StraddlingEstimated || got.Before.Estimated || got.During.Estimated || got.After.Estimated, what)
			requireRecovery(t, got, w, told, from, min(w.afterTo, last+1), what)
		}
	}
}

// requireRecovery goes through the buckets after a fault: of ten seconds, or of
// one where that had 20 requests before the fault.
func requireRecovery(t *testing.T, got *analysis.Fault, w *wantedFault, told []chatTold, beforeFrom, end int64, what string) {
	t.Helper()
	width := int64(10 * time.Second)
	figures := func(chats []*chatTold) (errors, p95 float64) {
		var took []int64
		for _, c := range chats {
			took = append(took, c.duration)
			if c.failed {
				errors++
			}
		}
		return errors / float64(len(chats)), nearestRank(took, 95)
	}
	before := between(told, w.run, beforeFrom, w.beforeTo, w.beforeTo)
	if len(before) == 0 || w.afterFrom > w.until() || len(between(told, w.run, w.until(), end, math.MaxInt64)) == 0 {
		require.Equal(t, analysis.RecoveryUnknown, got.Recovery, what)
		require.Nil(t, got.RecoveryS, what)
		return
	}
	if len(before)*int(time.Second) >= 20*int(w.beforeTo-beforeFrom) {
		width = int64(time.Second)
	}
	errors, p95 := figures(before)
	var starts []int64
	var fine []bool
	for start := w.until() / width * width; start < end; start += width {
		chats := between(told, w.run, max(start, w.until()), min(start+width, end), math.MaxInt64)
		if len(chats) == 0 {
			continue
		}
		e, p := figures(chats)
		if math.Abs(p/(1.5*p95)-1) < 0.02 {
			return // too close to call with histograms
		}
		starts, fine = append(starts, start), append(fine, e <= errors+0.05+1e-9 && p <= 1.5*p95)
	}
	for i := range fine {
		if !slices.Contains(fine[i:min(i+3, len(fine))], false) {
			require.Equal(t, analysis.Recovered, got.Recovery, what)
			require.InDelta(t, float64(max(starts[i]-w.end, 0))/1e9, *got.RecoveryS, 1e-9, what)
			return
		}
	}
	require.Equal(t, analysis.NotRecovered, got.Recovery, what)
	require.Nil(t, got.RecoveryS, what)
}

// requireLikeView compares faults of one window with the relation fault_impact;
// that has no bound on before and after, so these only where none applied.
func requireLikeView(t *testing.T, path string, answer *analysis.FaultImpact) (compared int) {
	t.Helper()
	alone := map[string]bool{} // runs in which no fault has two windows
	for i := range answer.Rows {
		f := &answer.Rows[i]
		one, seen := alone[f.RunID]
		alone[f.RunID] = (one || !seen) && len(f.WindowIDs) == 1
	}
	same := func(want any, got *float64, scale float64, what string) {
		t.Helper()
		if want == nil {
			require.Nil(t, got, what)
			return
		}
		require.InDelta(t, want, *got, math.Abs(want.(float64))*scale+1e-9, what)
	}
	for i := range answer.Rows {
		f := &answer.Rows[i]
		if len(f.WindowIDs) != 1 {
			continue
		}
		row := view(t, path, "SELECT * FROM fault_impact WHERE window_id = ? AND run_id = ?", f.WindowIDs[0], f.RunID)[0]
		phases := map[string]*analysis.ImpactPhase{"during": &f.During}
		same(row["straddling"], f.Straddling, 0, "straddling")
		same(row["edge_share"], f.EdgeShare, 0, "edge share")
		if alone[f.RunID] && f.Before.ToNS-f.Before.FromNS < int64(time.Minute) {
			phases["before"] = &f.Before
			same(row["recovery_s"], f.RecoveryS, 0, f.WindowIDs[0]+" recovery")
		}
		for name, p := range phases {
			what := f.WindowIDs[0] + " " + name + " "
			compared++
			if p.Requests == nil {
				require.Equal(t, 0.0, row["requests_"+name], what)
				continue
			}
			same(row["requests_"+name], p.Requests, 0, what+"requests")
			same(row["error_rate_"+name], p.ErrorRate, 1e-9, what+"errors")
			same(row["cost_usd_"+name], p.CostUSD, 1e-9, what+"cost")
			same(row["avg_latency_ms_"+name], p.Latency.AvgMS, 1e-9, what+"avg")
			same(row["p50_latency_ms_"+name], p.Latency.P50MS, 1.0/127, what+"p50")
			same(row["p95_latency_ms_"+name], p.Latency.P95MS, 1.0/127, what+"p95")
			same(row["p99_latency_ms_"+name], p.Latency.P99MS, 1.0/127, what+"p99")
			same(row["avg_net_latency_ms_"+name], p.NetLatency.AvgMS, 1e-9, what+"net avg")
			same(row["p99_net_latency_ms_"+name], p.NetLatency.P99MS, 1.0/127, what+"net p99")
		}
	}
	return compared
}

func TestFaultImpactAgreesWithTheRelation(t *testing.T) {
	r := seedtest.Rand(t)
	compared := 0
	for round := 0; compared < 8; round++ {
		require.Less(t, round, 60)
		s, _ := randomFaults(r, 1)
		path := s.file(t, asItIs)
		compared += requireLikeView(t, path, ask(t, path, faultImpact(analysis.Query{Now: later})))
	}
}
