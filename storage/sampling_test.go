package storage

import (
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// reading is what a batch of these spans has as Requests.
func reading(all iter.Seq[*aggregator.Request]) func(func(span int) bool) iter.Seq[*aggregator.Request] {
	return func(wanted func(span int) bool) iter.Seq[*aggregator.Request] {
		return func(yield func(*aggregator.Request) bool) {
			i := -1
			for r := range all {
				if i++; (wanted == nil || wanted(i)) && !yield(r) {
					return
				}
			}
		}
	}
}

// none keeps no requests.
var none = &sampling.Policy{}

// thin keeps some of everything: an ordinary fifth, and few for cause.
func thin() *sampling.Policy {
	p := &sampling.Policy{RatioMicro: 200_000, MaxForCause: 3}
	for c := range p.SlowNanos {
		p.SlowNanos[c] = 50e9
	}
	return p
}

// outageSpans are random spans within a few minutes, many of which failed;
// several are of one trace, some lack ids.
func outageSpans(rng *rand.Rand, n int) []aggregator.Request {
	out := make([]aggregator.Request, n)
	for i := range out {
		r := randomRequest(rng)
		r.StartUnixNano = anInstant.UnixNano() + rng.Int64N(180e9)
		if d, usable := r.Measure(aggregator.MeasureDuration); usable {
			r.EndUnixNano = r.StartUnixNano + d
		}
		r.Series.Category = []aggregator.Category{aggregator.CategoryLLM, aggregator.CategoryTool, aggregator.CategoryClient}[rng.IntN(3)]
		if rng.IntN(3) == 0 {
			r.Series.Outcome = aggregator.Outcome(rng.IntN(3))
		}
		if r.Series.Fault = ""; rng.IntN(8) == 0 {
			r.Series.Fault = "latency"
		}
		if i > 0 && rng.IntN(3) == 0 {
			r.TraceID = out[rng.IntN(i)].TraceID
		}
		switch rng.IntN(30) {
		case 0:
			r.TraceID = [16]byte{}
		case 1:
			r.SpanID = [8]byte{}
		case 2:
			r.TraceID, r.SpanID = [16]byte{}, [8]byte{}
		}
		if rng.IntN(3) == 0 { // kept for nothing else
			r.Session, r.ToolCallID, r.Decision, r.Role, r.Circuit = "", "", "", 0, ""
		}
		r.Details = detailsOf(&r)
		out[i] = r
	}
	return out
}

// detailsOf is what the reader of spans says of a span.
func detailsOf(r *aggregator.Request) (details aggregator.Details) {
	if isOfSession(r) {
		details |= aggregator.DetailsOfSession
	}
	if r.Series.Fault != "" || r.Circuit != "" {
		details |= aggregator.DetailsOfEvents
	}
	return details
}

// sampledFile is what a file should hold of spans under a policy, by the
// definition.
type sampledFile struct {
	rows, strata []string
	completeFrom int64
	candidates   int
}

func expectSampled(spans []aggregator.Request, p *sampling.Policy) sampledFile {
	kept, weight := make([]int64, len(spans)), make([]int64, len(spans))
	strata, chosen := map[sampling.StratumKey][]int{}, make([]bool, len(spans)) // chosen: stands for others, or others for it
	for i := range spans {
		weight[i] = 1e6
		o := &spans[i].Observation
		if o.Rejected != aggregator.NotRejected {
			continue
		}
		inSample := sampling.TraceHash(o)%1_000_000 < uint64(p.RatioMicro)
		d, _ := o.Measure(aggregator.MeasureDuration)
		forCause := o.Series.Outcome != aggregator.OutcomeSuccess || o.Series.Fault != "" ||
			p.SlowNanos[o.Series.Category] > 0 && d >= p.SlowNanos[o.Series.Category]
		if kept[i] = 1; forCause {
			kept[i] = 9
		}
		switch {
		case inSample && (!forCause || p.MaxForCause == 0):
			weight[i] = (1e12 + p.RatioMicro/2) / p.RatioMicro
		case inSample:
		default:
			kept[i] = 0
		}
		if !inSample && forCause && p.MaxForCause > 0 {
			strata[sampling.StratumOf(o)] = append(strata[sampling.StratumOf(o)], i)
		}
	}
	f := sampledFile{rows: []string{}, strata: []string{}}
	for key, all := range strata {
		slices.SortFunc(all, func(a, b int) int {
			x, y := chosenKey(&spans[a], 0), chosenKey(&spans[b], 0)
			return x.Compare(&y)
		})
		n := min(len(all), p.MaxForCause)
		for _, i := range all {
			chosen[i] = n < len(all)
		}
		for _, i := range all[:n] {
			kept[i] = 25
		}
		f.candidates += len(all)
		f.strata = append(f.strata, fmt.Sprintf("%d|%v|%v|%d|%d", key.MinuteS, key.Category, key.Outcome, len(all), n))
	}
	slices.Sort(f.strata)
	for i := range spans {
		if spans[i].Rejected == aggregator.NotRejected && (kept[i] == 0 || weight[i] != 1e6 || chosen[i]) {
			f.completeFrom = max(f.completeFrom, spans[i].StartUnixNano+1)
		}
		if row := expectedRow(&spans[i], kept[i], weight[i]); row != "" {
			f.rows = append(f.rows, row)
		}
	}
	slices.Sort(f.rows)
	return f
}

const strataQuery = "SELECT concat_ws('|', minute_s, category, outcome, spans, rows) FROM request_stratum ORDER BY 1"

func (f *sampledFile) require(t *testing.T, path string) {
	t.Helper()
	require.Equal(t, f.strata, texts(t, path, strataQuery))
	require.Equal(t, f.rows, texts(t, path, rowsQuery))
	require.Equal(t, []string{fmt.Sprint(f.completeFrom)}, texts(t, path, "SELECT value FROM meta WHERE key = 'requests_complete_from_ns'"))
	require.InDelta(t, f.candidates, one[float64](t, path, `SELECT total(weight) FROM requests AS v WHERE EXISTS (
		SELECT 1 FROM request AS r WHERE r.kept & 16 AND r.start_ns = v.start_ns AND lower(hex(r.span_id)) IS coalesce(v.span_id, '0000000000000000'))`), 1e-6)
}

// planned gives a batch the plan that the exporter makes.
func planned(b Batch, o *Options) Batch {
	b.Plan = NewPlan(o.Sampling, o.DropSessions)
	for observation := range b.Observations {
		b.Plan.Add(observation)
	}
	return b
}

// TestDuplicatesAndRejectedSpansAreNoCandidates: only what was folded counts, in
// batches with and without a plan.
func TestDuplicatesAndRejectedSpansAreNoCandidates(t *testing.T) {
	rng := seedtest.Rand(t)
	spans := outageSpans(rng, 600)
	for i := range spans {
		spans[i].Priced, spans[i].CostNanoUSD = true, 1
		spans[i].Series.Category = aggregator.CategoryLLM
	}
	want := expectSampled(spans, thin())
	for _, usePlan := range []bool{true, false} {
		o := manySeries(dedupOptions(t))
		o.Sampling = thin()
		s := openStore(t, o)
		for range 2 {
			for from := 0; from < len(spans); {
				n := min(1+rng.IntN(90), len(spans)-from)
				// Some that came before, and some that do not fit in a sum.
				batch := slices.Clone(spans[max(0, from-rng.IntN(40)):from])
				fingerprints := make([]uint64, 0, 200)
				for i := range batch {
					fingerprints = append(fingerprints, uint64(from-len(batch)+i+1))
				}
				for i := range n {
					batch, fingerprints = append(batch, spans[from+i]), append(fingerprints, uint64(from+i+1))
				}
				for i := range 3 {
					r := batch[rng.IntN(len(batch))]
					r.Rejected, r.CostNanoUSD = aggregator.NotRejected, math.MaxInt64
					if i == 0 {
						r.Rejected = aggregator.RejectedNoStartTime
					}
					r.Series.Outcome = aggregator.OutcomeServerError
					batch, fingerprints = append(batch, r), append(fingerprints, 0)
				}
				b := requestBatch(o, batch...)
				if b.Fingerprints = fingerprints; usePlan {
					b = planned(b, &o)
				}
				require.NoError(t, s.Write(t.Context(), b))
				from += n
			}
		}
		require.NoError(t, s.Close())
		require.Positive(t, ledgerOf(t, o.Path)["overflow"])
		want.completeFrom = one[int64](t, o.Path, "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'requests_complete_from_ns'") // or later
		want.require(t, o.Path)
		require.Empty(t, verifyAll(t, o.Path))
	}
}

// TestTheSampleDoesNotDependOnOrder, nor on batches, restarts, others that write
// the file, or whether batches have a plan.
func TestTheSampleDoesNotDependOnOrder(t *testing.T) {
	rng := seedtest.Rand(t)
	spans := outageSpans(rng, 1200)
	for _, max := range []int{3, 40, 0} {
		o := manySeries(testOptions(t))
		o.Sampling = thin()
		o.Sampling.MaxForCause = max
		want := expectSampled(spans, o.Sampling)
		require.Equal(t, max > 0, len(want.strata) > 10)
		for _, usePlan := range []bool{true, false} {
			o.Path = t.TempDir() + "/spanbucket.db"
			rng.Shuffle(len(spans), func(i, j int) { spans[i], spans[j] = spans[j], spans[i] })
			s := openStore(t, o)
			for rest := spans; len(rest) > 0; {
				n := min(len(rest), 1+rng.IntN(250))
				b := requestBatch(o, rest[:n]...)
				if usePlan {
					b = planned(b, &o)
				}
				require.NoError(t, s.Write(t.Context(), b))
				switch rest = rest[n:]; rng.IntN(6) {
				case 0:
					require.NoError(t, s.Close())
					s = openStore(t, o)
				case 1:
					_, err := ImportFaultWindows(t.Context(), o.Path, []aggregator.FaultWindow{{Fault: fmt.Sprint(n, len(rest)), EndUnixNano: 1}})
					require.NoError(t, err)
				case 2:
					require.NoError(t, s.Check(t.Context(), b), "what is only checked leaves no trace")
				}
			}
			require.NoError(t, s.Close())
			want.require(t, o.Path)
			require.Empty(t, verifyAll(t, o.Path))
		}
	}
}

// TestWeightsAreRightAtEveryCommit, also after rows of a minute have left with
// their run.
func TestWeightsAreRightAtEveryCommit(t *testing.T) {
	rng := seedtest.Rand(t)
	spans := outageSpans(rng, 600)
	for i := range spans {
		spans[i].Series.Run = []string{"a", "b"}[rng.IntN(2)]
	}
	o := manySeries(testOptions(t))
	o.Sampling = thin()
	s := openStore(t, o)
	for i := range 20 {
		written := spans[:(i+1)*20]
		require.NoError(t, s.Write(t.Context(), planned(requestBatch(o, written[i*20:]...), &o)))
		want := expectSampled(written, o.Sampling)
		want.require(t, o.Path)
	}
	_, err := PurgeRun(t.Context(), o.Path, "a", false)
	require.NoError(t, err)
	require.Empty(t, verifyAll(t, o.Path))
	const left = "SELECT coalesce(sum(spans), 0) FROM request_stratum"
	before := one[int64](t, o.Path, left)
	require.Positive(t, before)
	candidates := 0
	for _, r := range spans[400:] {
		if r.Rejected == aggregator.NotRejected && o.Sampling.Decide(&r.Observation) == sampling.Candidate {
			candidates++
		}
	}
	require.NoError(t, s.Write(t.Context(), planned(requestBatch(o, spans[400:]...), &o)))
	require.Empty(t, verifyAll(t, o.Path))
	require.EqualValues(t, before+int64(candidates), one[int64](t, o.Path, left))
	require.NoError(t, s.Close())
}

// TestMergedSamples: joined files have the rows that one would have that was
// sent all their spans, in whatever order they are joined.
func TestMergedSamples(t *testing.T) {
	rng := seedtest.Rand(t)
	spans := outageSpans(rng, 900)
	for _, most := range []int{3, 40} {
		o := manySeries(testOptions(t))
		o.Sampling = thin()
		o.Sampling.MaxForCause = most
		var parts [3][]aggregator.Request
		for i := range spans {
			n := rng.IntN(3)
			parts[n] = append(parts[n], spans[i])
		}
		var paths []string
		for _, part := range parts {
			o.Path = t.TempDir() + "/part.db"
			s := openStore(t, o)
			for batch := range slices.Chunk(part, 100) {
				require.NoError(t, s.Write(t.Context(), planned(requestBatch(o, batch...), &o)))
			}
			require.NoError(t, s.Close())
			paths = append(paths, o.Path)
		}
		join := func(paths ...string) string {
			output := t.TempDir() + "/all.db"
			_, err := Merge(t.Context(), paths, MergeOptions{Output: output, Now: o.Now, AllowOverlap: true})
			require.NoError(t, err)
			require.Empty(t, verifyAll(t, output))
			return output
		}
		want := expectSampled(spans, o.Sampling)
		for _, all := range []string{
			join(paths...), join(paths[2], paths[0], paths[1]), join(paths[0], join(paths[1], paths[2])), join(join(paths[0], paths[1]), paths[2]),
		} {
			want.require(t, all)
		}
		// What comes later finds its place.
		o.Path = join(paths[0], paths[1])
		s := openStore(t, o)
		require.NoError(t, s.Write(t.Context(), planned(requestBatch(o, parts[2]...), &o)))
		require.NoError(t, s.Close())
		want.require(t, o.Path)
	}
}

// TestStrataOfRowsThatLeft: the rows that are left stand for as many spans as
// before, also for the spans of the minute that come later.
func TestStrataOfRowsThatLeft(t *testing.T) {
	rng := seedtest.Rand(t)
	spans := outageSpans(rng, 1200)
	const weights = "SELECT CAST(total(weight) AS TEXT) || ' of ' || count(*) FROM requests WHERE for_cause GROUP BY start_ns ORDER BY start_ns DESC LIMIT 20"
	for _, most := range []int64{20, 60} {
		o := manySeries(testOptions(t))
		o.Sampling = thin()
		o.Sampling.MaxForCause, o.RequestMaxRows = 12, most
		s := openStore(t, o)
		for batch := range slices.Chunk(spans[:600], 100) {
			require.NoError(t, s.Write(t.Context(), planned(requestBatch(o, batch...), &o)))
		}
		before := texts(t, o.Path, weights)
		require.NoError(t, s.Prune(t.Context()))
		require.Empty(t, verifyAll(t, o.Path))
		require.EqualValues(t, most, one[int64](t, o.Path, "SELECT count(*) FROM requests"))
		left := texts(t, o.Path, weights)
		require.Equal(t, before[:min(10, len(left))], left[:min(10, len(left))])
		for batch := range slices.Chunk(spans[600:], 100) {
			require.NoError(t, s.Write(t.Context(), planned(requestBatch(o, batch...), &o)))
			require.Zero(t, one[int64](t, o.Path, "SELECT count(*) FROM requests WHERE weight IS NULL OR weight < 1"))
		}
		require.NoError(t, s.Prune(t.Context()))
		require.EqualValues(t, most, one[int64](t, o.Path, "SELECT count(*) FROM requests"))
		require.Empty(t, verifyAll(t, o.Path))
		require.NoError(t, s.Close())
	}
}

// TestOneCandidateTwice: which of two that differ in nothing but what they say
// is chosen does not depend on which came first.
func TestOneCandidateTwice(t *testing.T) {
	o := testOptions(t)
	o.Sampling = &sampling.Policy{MaxForCause: 1}
	first, second := request(1, 0), request(1, 0)
	first.Series.Outcome, second.Series.Outcome = aggregator.OutcomeServerError, aggregator.OutcomeServerError
	first.Usage, first.Known, first.InputTokens = true, aggregator.FactInputTokens, 7
	second.Usage, second.Known, second.InputTokens = true, aggregator.FactInputTokens, 8
	var rows [][]string
	for _, order := range [][]aggregator.Request{{first, second}, {second, first}} {
		o.Path = t.TempDir() + "/spanbucket.db"
		for _, r := range order {
			s := openStore(t, o)
			require.NoError(t, s.Write(t.Context(), requestBatch(o, r)))
			require.NoError(t, s.Close())
		}
		rows = append(rows, texts(t, o.Path, rowsQuery))
	}
	require.Len(t, rows[0], 1)
	require.Equal(t, rows[0], rows[1])
}

// TestStrataAreForgotten once there are too many, and read again.
func TestStrataAreForgotten(t *testing.T) {
	s, key := newStrata(), sampling.StratumKey{}
	for i := range maxStrata + 1 {
		key.MinuteS = int64(i) * 60
		s.all[key] = &liveStratum{Stratum: &sampling.Stratum[chosenRow]{}, key: key, lastUsed: int64(i)}
	}
	s.shrink(100)
	require.Len(t, s.all, maxStrata*3/4)
	require.Contains(t, s.all, key)
	many := &sampling.Stratum[chosenRow]{}
	for i := range maxChosenRows {
		many.Offer(sampling.Key{Hash: uint64(i)}, chosenRow{}, 1<<20)
	}
	key.MinuteS = -60
	s.all[key] = &liveStratum{Stratum: many, key: key}
	s.shrink(maxChosenRows)
	require.Contains(t, s.all, key, "as many as one stratum may have")
	s.all[sampling.StratumKey{MinuteS: -120}] = &liveStratum{Stratum: sampling.NewStratum(1, make([]sampling.Member[chosenRow], 1)), lastUsed: 9e9}
	s.shrink(100)
	require.NotContains(t, s.all, key)
}
