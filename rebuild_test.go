package spanbucketexporter

import (
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/internal/spantest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// rebuildCases are configurations whose buckets differ in what they are made of.
var rebuildCases = []struct {
	name   string
	change func(*Config)
}{
	{"as by default", func(*Config) {}},
	{"headline only", func(c *Config) {
		c.Buckets = []BucketConfig{{Width: 5 * time.Second, Detail: Detail(storage.DetailHeadline)}, {Width: time.Minute, Detail: Detail(storage.DetailHeadline)}}
	}},
	{"one width of seven seconds", func(c *Config) { c.Buckets = []BucketConfig{{Width: 7 * time.Second}} }},
	{"a day and two", func(c *Config) { c.Buckets = []BucketConfig{{Width: 24 * time.Hour}, {Width: 48 * time.Hour}} }},
	{"more series than fit", func(c *Config) { c.MaxSeries = 9 }},
	{"repeats are counted", func(c *Config) { c.Dedup.Window = 0 }},
	{"dimensions and prices", func(c *Config) {
		price := TokenPrice(2_500_000)
		c.Prices = []PriceConfig{{Model: "gpt-*", Input: &price, Output: &price}}
		c.Dimensions = []DimensionConfig{{Name: "gen_ai.conversation.id", Default: "none", MaxValues: 3}}
	}},
}

// hardSpans are batches with everything that makes a span hard to fold again:
// failures, streams, faults and delays longer than the span, resends, sampling
// thresholds, spans without ids, without an end or that end before they start,
// spans of hours across buckets, late ones, and some that are rejected.
func hardSpans(r *rand.Rand, from time.Time, batches, each int) (all []ptrace.Traces) {
	g := spantest.New(r.Uint64(), spantest.Profile{Series: 40, FailureShare: 0.3, SampledShare: 0.2, Models: 4, Tools: 3})
	for i := range batches {
		batch := g.Batch(1+r.IntN(each), from.Add(time.Duration(i)*7*time.Second), 20*time.Second)
		for _, resource := range batch.ResourceSpans().All() {
			if run := pick(r, "", "", "run-1", "run-2"); run != "" {
				resource.Resource().Attributes().PutStr("chaos.run.id", run)
			}
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					harden(r, span)
				}
			}
		}
		all = append(all, batch)
	}
	return all
}

// hugeThreshold lets a span stand for so many that there is no room for two.
const hugeThreshold = "ot=th:ffffffffffe"

// withoutHuge returns batches in which each span stands for itself where it
// stood for too many to be added.
func withoutHuge(batches []ptrace.Traces) []ptrace.Traces {
	for _, batch := range batches {
		for _, resource := range batch.ResourceSpans().All() {
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					if span.TraceState().AsRaw() == hugeThreshold {
						span.TraceState().FromRaw("")
					}
				}
			}
		}
	}
	return batches
}

func harden(r *rand.Rand, span ptrace.Span) {
	if r.IntN(3) > 0 {
		return
	}
	start, a := span.StartTimestamp(), span.Attributes()
	move := func(by time.Duration) {
		span.SetStartTimestamp(start + pcommon.Timestamp(by))
		span.SetEndTimestamp(span.EndTimestamp() + pcommon.Timestamp(by))
	}
	switch r.IntN(12) {
	case 0:
		span.SetEndTimestamp(0)
	case 1:
		span.SetEndTimestamp(start - 1)
	case 2:
		span.SetEndTimestamp(start + pcommon.Timestamp(r.Int64N(int64(26*time.Hour))))
	case 3:
		span.SetTraceID(pcommon.TraceID{})
	case 4:
		span.SetSpanID(pcommon.SpanID{})
	case 5:
		move(-time.Duration(r.Int64N(int64(50 * time.Hour))))
	case 6:
		a.PutStr("chaos.fault.type", pick(r, "latency", "abort", "none"))
		a.PutInt("chaos.fault.latency_ms", r.Int64N(2000))
	case 7:
		a.PutStr("chaos.fault.type", pick(r, "latency", "abort"))
	case 8:
		a.PutInt("http.request.resend_count", r.Int64N(5))
	case 9:
		span.TraceState().FromRaw(pick(r, "ot=th:8", fmt.Sprintf("ot=th:%014x", r.Uint64()>>8), hugeThreshold))
	case 10:
		a.PutDouble("gen_ai.usage.cost", r.Float64())
	case 11:
		span.SetStartTimestamp(0)
	}
}

// bucketRows are the rows of both bucket tables with their histograms, and of
// the runs, by key. What numbers rows is left out.
func bucketRows(t *testing.T, path string) map[string]string {
	t.Helper()
	reader := openReader(t, path)
	all := map[string]string{}
	for _, q := range []string{
		"SELECT 'headline ' || width_s || ' ' || bucket_start || ' ' || run_id || ' ' || category AS row_key, * FROM headline_bucket JOIN headline_histogram ON bucket_id = id",
		"SELECT 'series ' || width_s || ' ' || bucket_start || ' ' || series_id AS row_key, * FROM series_bucket JOIN series_histogram ON bucket_id = id",
		"SELECT 'run ' || run_id AS row_key, * FROM run",
		"SELECT 'run_category ' || run_id || ' ' || category AS row_key, * FROM run_category",
	} {
		for _, r := range query(t, reader, q) {
			var columns []string
			for name, value := range r {
				if name != "id" && name != "bucket_id" && name != "version" {
					columns = append(columns, fmt.Sprintf("%s=%v", name, value))
				}
			}
			slices.Sort(columns)
			all[r["row_key"].(string)] = strings.Join(columns, " ")
		}
	}
	return all
}

func requireSameBuckets(t *testing.T, want, got map[string]string) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(want)) {
		require.Equal(t, want[key], got[key], key)
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		require.Contains(t, want, key)
	}
}

func executeSQL(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	for _, statement := range statements {
		_, err := db.Exec(statement)
		require.NoError(t, err, statement)
	}
}

func rebuildFile(t *testing.T, o storage.RebuildOptions) *storage.Rebuilt {
	t.Helper()
	done, err := storage.Rebuild(t.Context(), o)
	require.NoError(t, err)
	return done
}

// sendHard sends batches, some of them twice, with restarts in between.
func sendHard(t *testing.T, r *rand.Rand, config *Config, batches []ptrace.Traces) {
	t.Helper()
	config.Requests.Retention = 0 // some spans are days older than others
	var e exporter.Traces
	for i, batch := range batches {
		if e == nil {
			e = startExporter(t, config)
		}
		for range 1 + r.IntN(5)/4 {
			again := ptrace.NewTraces()
			batch.CopyTo(again)
			require.NoError(t, e.ConsumeTraces(t.Context(), again))
		}
		if r.IntN(4) == 0 || i == len(batches)-1 {
			stopExporter(t, e)
			e = nil
		}
	}
}

// bucketDamages lose or spoil buckets; late spans are left alone, as requests do
// not tell of them.
var bucketDamages = [][]string{
	{"DELETE FROM headline_histogram", "DELETE FROM headline_bucket", "DELETE FROM series_histogram", "DELETE FROM series_bucket"},
	{"DELETE FROM series_histogram WHERE bucket_id % 3 = 1", "DELETE FROM series_bucket WHERE id % 3 = 1"},
	{"UPDATE headline_bucket SET completed = completed + 1, sum_latency_ns = 5, p99_latency_ns = 7 WHERE id % 2"},
	{"UPDATE series_histogram SET duration = NULL", "UPDATE headline_histogram SET duration = '{\"3\":1}'"},
	{"UPDATE series_bucket SET slowest_trace_id = zeroblob(16), slowest_span_id = zeroblob(8)"},
	{"DELETE FROM headline_histogram WHERE bucket_id % 5 = 0"},
	{"UPDATE run SET first_ns = NULL, last_ns = 5", "UPDATE run_category SET spans = 3", "DELETE FROM run_category WHERE category = 'llm'"},
	{"UPDATE headline_bucket SET bucket_start = bucket_start + 1000 * width_s WHERE id = (SELECT max(id) FROM headline_bucket)"},
}

// TestRebuildEqualsTheIncrementalState: what is recomputed from requests is what
// the exporter folded, row by row, and what was lost comes back.
func TestRebuildEqualsTheIncrementalState(t *testing.T) {
	for _, c := range rebuildCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := seedtest.Rand(t)
			path := filepath.Join(t.TempDir(), "spanbucket.db")
			config := testConfig(path)
			c.change(config)
			sendHard(t, r, config, hardSpans(r, time.Date(2026, 1, 30, 23, 50, 0, 0, time.UTC), 9, 120))
			want := bucketRows(t, path)

			done := rebuildFile(t, storage.RebuildOptions{Path: path})
			require.Zero(t, done.Changed(), "%+v", done)
			require.Positive(t, done.Requests)
			requireSameBuckets(t, want, bucketRows(t, path))

			withoutLate := "UPDATE %s SET late = 0"
			executeSQL(t, path, fmt.Sprintf(withoutLate, "headline_bucket"), fmt.Sprintf(withoutLate, "series_bucket"))
			want = bucketRows(t, path)
			damages := slices.Clone(bucketDamages)
			r.Shuffle(len(damages), func(i, k int) { damages[i], damages[k] = damages[k], damages[i] })
			for _, damage := range damages[:3] {
				executeSQL(t, path, damage...)
				damaged := bucketRows(t, path)
				would := rebuildFile(t, storage.RebuildOptions{Path: path, DryRun: true})
				requireSameBuckets(t, damaged, bucketRows(t, path))
				done := rebuildFile(t, storage.RebuildOptions{Path: path})
				require.Equal(t, would, done, "the dry run said so")
				require.Equal(t, !maps.Equal(want, damaged), done.Changed() > 0, damage)
				requireSameBuckets(t, want, bucketRows(t, path))
			}
			requireVerified(t, path)

			executeSQL(t, path, "UPDATE request SET duration_ns = duration_ns + 1000000 WHERE start_ns = (SELECT start_ns FROM request WHERE duration_ns >= 0 LIMIT 1)")
			require.Positive(t, rebuildFile(t, storage.RebuildOptions{Path: path}).Changed(), "another request, other buckets")
			require.NotEqual(t, want, bucketRows(t, path))
			requireVerified(t, path)
		})
	}
}

func requireVerified(t *testing.T, path string) {
	t.Helper()
	for problem, err := range openReader(t, path).Verify(t.Context()) {
		require.NoError(t, err)
		t.Errorf("verify: %v", problem)
	}
}
