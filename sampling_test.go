package spanbucketexporter

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/internal/spantest"
)

// outage is traffic of three minutes; in the second of them most spans fail,
// and a fault is marked on some of them.
func outage(r *rand.Rand, spansPerMinute int) (hosts []goldenHost) {
	start := time.Date(2026, 1, 30, 12, 0, 0, 0, time.UTC)
	for minute, failing := range []float64{0.02, 0.9, 0.02} {
		profile := spantest.Dense
		profile.FailureShare = failing
		batch := spantest.New(r.Uint64(), profile).Batch(spansPerMinute, start.Add(time.Duration(minute)*time.Minute), time.Minute)
		for _, resourceSpans := range batch.ResourceSpans().All() {
			for _, scopeSpans := range resourceSpans.ScopeSpans().All() {
				for _, span := range scopeSpans.Spans().All() {
					if minute == 1 && r.IntN(20) == 0 {
						span.Attributes().PutStr("chaos.fault.type", "latency")
					}
					if r.IntN(100) == 0 {
						span.SetTraceID(pcommon.TraceID{})
					}
					hosts = append(hosts, goldenHost{resourceSpans.Resource(), scopeSpans.Scope(), span})
				}
			}
		}
	}
	return hosts
}

const thinConfig = "requests: {sampling_ratio: 0.05, slow_threshold: 5s, max_for_cause: 20, per_category: {llm: {slow_threshold: 5s}}}"

// TestAnOutageIsThinnedOut: weighted rows estimate what the buckets count
// exactly, and those for cause add up to it.
func TestAnOutageIsThinnedOut(t *testing.T) {
	path := newFile(t)
	config, err := configFromYAML(t, thinConfig)
	require.NoError(t, err)
	config.Path = path
	r := seedtest.Rand(t)
	hosts := outage(r, 3000)
	e := startExporter(t, config)
	sendInPieces(t, e, r, hosts, 3, 1)
	stopExporter(t, e)
	reader := openReader(t, path)
	const byOutcome = `SELECT category || ' ' || outcome AS what, sum(requests) AS exact, (
			SELECT total(weight) FROM requests AS r WHERE r.category = l.category AND r.outcome = l.outcome
		) AS estimate
		FROM latency AS l WHERE width_s = 10 GROUP BY category, outcome`
	failures := 0
	for _, row := range query(t, reader, byOutcome) {
		what := row["what"].(string)
		if strings.HasSuffix(what, " success") {
			// Traces of up to eight spans, each of them 20 times or not at all.
			require.InEpsilon(t, row["exact"], row["estimate"], 0.6, what)
			continue
		}
		failures++
		require.InDelta(t, row["exact"], row["estimate"], 1e-6, what)
	}
	require.Greater(t, failures, 10)
	require.Less(t, len(column(t, reader, "SELECT 1 FROM requests")), len(hosts)/5)
	require.Equal(t, []string{"1"}, column(t, reader, `SELECT max(start_ns) + 1 >= (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'requests_complete_from_ns')
		FROM (SELECT max(last_ns) AS start_ns FROM runs)`))
	require.Empty(t, column(t, reader, "SELECT 1 FROM meta WHERE key = 'requests_estimable_from_ns'"))
}

// TestTheSampleIsTheSameEverywhere: the same rows with the same weights,
// whatever the order, the batches, the restarts, and what is delivered again.
func TestTheSampleIsTheSameEverywhere(t *testing.T) {
	r := seedtest.Rand(t)
	hosts := slices.DeleteFunc(outage(r, 1500), func(h goldenHost) bool { return h.span.TraceID().IsEmpty() })
	var first []string
	for _, way := range []struct{ goroutines, restarts, copies int }{{1, 0, 1}, {4, 0, 1}, {3, 4, 3}} {
		t.Run(fmt.Sprint(way), func(t *testing.T) {
			path := newFile(t)
			config, err := configFromYAML(t, thinConfig)
			require.NoError(t, err)
			config.Path = path
			shuffled := slices.Clone(hosts)
			r.Shuffle(len(shuffled), func(i, k int) { shuffled[i], shuffled[k] = shuffled[k], shuffled[i] })
			for part := range slices.Chunk(shuffled, len(shuffled)/(way.restarts+1)+1) {
				e := startExporter(t, config)
				sendInPieces(t, e, r, part, way.goroutines, way.copies)
				stopExporter(t, e)
			}
			got := ofRelations(content(t, path), "requests", "request_stratum", "sessions", "tools", "fault_windows", "fault_impact", "latency")
			if first == nil {
				first = got
			}
			requireSameTexts(t, first, got, fmt.Sprint(way))
		})
	}
	require.Greater(t, len(ofRelations(first, "request_stratum")), 20)
}

// TestWhatAFaultDidIsEstimated from weighted rows; and not where ordinary
// requests had no chance to be kept: those that went well are not there.
func TestWhatAFaultDidIsEstimated(t *testing.T) {
	const impact = "SELECT requests_before, requests_during, requests_after, error_rate_before, error_rate_during, avg_latency_ms_before FROM fault_impact"
	var exact row
	for _, requests := range []string{"{}", "{sampling_ratio: 0.3, max_for_cause: 50}", "{sampling_ratio: 0.3, max_for_cause: 0}", "{sampling_ratio: 0}"} {
		path := newFile(t)
		config, err := configFromYAML(t, "requests: "+requests)
		require.NoError(t, err)
		config.Path = path
		r := seedtest.Rand(t)
		e := startExporter(t, config)
		sendInPieces(t, e, r, outage(r, 2000), 1, 1)
		stopExporter(t, e)
		got := query(t, openReader(t, path), impact)
		require.Len(t, got, 1)
		if exact == nil {
			exact = got[0]
		}
		for name, value := range got[0] {
			if requests == "{sampling_ratio: 0}" {
				require.Nil(t, value, name)
				continue
			}
			require.InEpsilon(t, exact[name], value, 0.35, "%s of %s", name, requests)
		}
	}
}
