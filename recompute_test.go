package spanbucketexporter

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

func testConfig(path string, widths ...time.Duration) *Config {
	config := createDefaultConfig().(*Config)
	config.Path = path
	if len(widths) > 0 {
		config.Buckets = nil
		for _, w := range widths {
			config.Buckets = append(config.Buckets, BucketConfig{Width: w})
		}
	}
	return config
}

func startExporter(t *testing.T, config *Config) exporter.Traces {
	t.Helper()
	if defaults := exporterhelper.NewDefaultTimeoutConfig(); config.Timeout == defaults {
		config.Timeout.Timeout = time.Minute // machines that run tests are slow
	}
	factory := NewFactory()
	e, err := factory.CreateTraces(t.Context(), exportertest.NewNopSettings(factory.Type()), config)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	return e
}

func stopExporter(t *testing.T, e exporter.Traces) {
	t.Helper()
	require.NoError(t, e.Shutdown(context.Background()))
}

func openReader(t *testing.T, path string) *storage.Reader {
	t.Helper()
	r, err := storage.OpenReader(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// sendAll sends the spans in random order, in batches of random size, from
// several goroutines.
func sendAll(t *testing.T, e exporter.Traces, r *rand.Rand, spans []sentSpan, goroutines int) {
	t.Helper()
	r.Shuffle(len(spans), func(i, k int) { spans[i], spans[k] = spans[k], spans[i] })
	batches := make(chan []sentSpan, len(spans))
	for rest := spans; len(rest) > 0; {
		n := min(len(rest), 1+r.IntN(1<<r.IntN(14)))
		batches <- rest[:n]
		rest = rest[n:]
	}
	close(batches)
	var senders sync.WaitGroup
	errs := make(chan error, goroutines)
	for range goroutines {
		senders.Go(func() {
			for batch := range batches {
				if err := e.ConsumeTraces(context.Background(), traces(batch)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	senders.Wait()
	select {
	case err := <-errs:
		require.NoError(t, err)
	default:
	}
}

// TestFileEqualsRecomputation sends random spans and, after every few batches,
// compares every row of the file with a recomputation from the spans sent.
func TestFileEqualsRecomputation(t *testing.T) {
	leapDay := time.Date(2024, 2, 28, 23, 30, 0, 0, time.UTC)
	midnight := time.Date(2025, 12, 31, 23, 59, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		widths []time.Duration
		from   time.Time
		over   time.Duration
		spans  int
	}{
		{"a second and its multiples", []time.Duration{time.Second, 10 * time.Second, 5 * time.Minute, time.Hour}, midnight, 3 * time.Minute, 3000},
		{"seven seconds", []time.Duration{7 * time.Second}, midnight, 2 * time.Minute, 2000},
		{"a minute across midnight", []time.Duration{time.Minute, 24 * time.Hour}, midnight, 2 * time.Hour, 3000},
		{"five minutes across leap day", []time.Duration{5 * time.Minute, 24 * time.Hour}, leapDay, 26 * time.Hour, 3000},
		{"a hundred thousand seconds", []time.Duration{100_000 * time.Second}, leapDay, 20 * 24 * time.Hour, 2000},
		{"one bucket, one batch", []time.Duration{24 * time.Hour}, midnight.Add(-time.Hour), time.Minute, 9000},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := seedtest.Rand(t)
			path := filepath.Join(t.TempDir(), "spanbucket.db")
			config := testConfig(path, c.widths...)
			all := randomSpans(r, c.spans, c.from, c.over)
			e := startExporter(t, config)
			for sent := 0; sent < len(all); {
				n := min(len(all)-sent, 1+r.IntN(len(all)))
				sendAll(t, e, r, all[sent:sent+n], 1+r.IntN(8))
				sent += n
				requireRecomputation(t, path, c.widths, all[:sent])
				if r.IntN(3) == 0 {
					stopExporter(t, e)
					e = startExporter(t, config)
				}
			}
			stopExporter(t, e)
			requireRecomputation(t, path, c.widths, all)
		})
	}
}

// requireRecomputation compares timeseries, latency, bins, runs and ledger with
// what follows from the spans.
func requireRecomputation(t *testing.T, path string, widths []time.Duration, spans []sentSpan) {
	t.Helper()
	reader := openReader(t, path)
	for _, width := range widths {
		requireTimeseries(t, reader, width, spans)
		requireLatency(t, reader, width, spans)
	}
	requireLedger(t, reader, spans)
	requireRuns(t, reader, spans)
}

type row map[string]any

// query reads rows as maps.
func query(t *testing.T, reader *storage.Reader, text string, args ...any) []row {
	t.Helper()
	rows, err := reader.QueryContext(t.Context(), text, args...)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	columns, err := rows.Columns()
	require.NoError(t, err)
	var out []row
	for rows.Next() {
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(t, rows.Scan(into...))
		r := row{}
		for i, name := range columns {
			r[name] = values[i]
		}
		out = append(out, r)
	}
	require.NoError(t, rows.Err())
	return out
}

func (r row) key(columns ...string) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = fmt.Sprint(r[c])
	}
	return strings.Join(parts, "|")
}

func requireTimeseries(t *testing.T, reader *storage.Reader, width time.Duration, spans []sentSpan) {
	t.Helper()
	want := map[string]*group{}
	at := func(s *sentSpan, instant int64) *group {
		key := fmt.Sprintf("%s|%s|%d", s.run, s.category(), alignedStart(instant, width))
		if want[key] == nil {
			want[key] = &group{}
		}
		return want[key]
	}
	for i := range spans {
		s := &spans[i]
		g := at(s, s.start)
		g.spans = append(g.spans, s)
		if _, ok := s.duration(); ok {
			at(s, s.end).completed++
		}
	}
	rows := query(t, reader, "SELECT * FROM timeseries WHERE width_s = ?", int64(width/time.Second))
	require.Len(t, rows, len(want), "rows of timeseries")
	for _, r := range rows {
		key := r.key("run_id", "category", "bucket_start")
		g := want[key]
		require.NotNil(t, g, "timeseries has a row %s", key)
		require.EqualValues(t, g.completed, r["completed_total"], "%s completed", key)
		require.EqualValues(t, len(g.spans), r["requests_total"], "%s requests", key)
		outcomes := map[string]int64{}
		for _, s := range g.spans {
			outcomes[s.outcome()]++
		}
		for name, value := range r {
			if outcome, ok := strings.CutPrefix(name, "requests_"); ok && outcome != "total" && outcome != "injected" {
				require.EqualValues(t, outcomes[outcome], value, "%s %s", key, name)
			}
		}
		requireCommon(t, key, r, g.spans)
	}
}

func requireLatency(t *testing.T, reader *storage.Reader, width time.Duration, spans []sentSpan) {
	t.Helper()
	want := map[string][]*sentSpan{}
	for i := range spans {
		s := &spans[i]
		operation := s.operation
		if operation == "" {
			operation = "some span"
		}
		key := strings.Join([]string{
			fmt.Sprint(alignedStart(s.start, width)), s.run, s.service, operation, "server", s.category(), s.model,
			s.outcome(), s.errorType(),
		}, "|")
		want[key] = append(want[key], s)
	}
	rows := query(t, reader, "SELECT * FROM latency WHERE width_s = ?", int64(width/time.Second))
	require.Len(t, rows, len(want), "rows of latency")
	binned := map[string]row{}
	for _, r := range query(t, reader, `SELECT bucket_start, series_id, measure, sum(count) AS count,
		sum(count * (upper_ns - lower_ns + 1) > 0) AS bins FROM bins WHERE width_s = ? GROUP BY 1, 2, 3`,
		int64(width/time.Second)) {
		binned[r.key("bucket_start", "series_id", "measure")] = r
	}
	for _, r := range rows {
		key := r.key("bucket_start", "run_id", "service", "operation", "kind", "category", "model", "outcome", "error_type")
		group := want[key]
		require.NotEmpty(t, group, "latency has a row %s", key)
		require.EqualValues(t, len(group), r["requests"], "%s requests", key)
		require.EqualValues(t, "{}", r["dimensions"], "%s dimensions", key)
		requireCommon(t, key, r, group)
		requirePercentiles(t, key, r, "time_per_output_token", measure(group, (*sentSpan).timePerOutputToken), 50, 99)
		if n := r["latency_count"].(int64); n > 0 {
			bins := binned[r.key("bucket_start", "series_id")+"|duration"]
			require.EqualValues(t, n, bins["count"], "%s sum of bins", key)
		}
	}
}

// requireCommon compares the columns that timeseries and latency share.
func requireCommon(t *testing.T, key string, r row, spans []*sentSpan) {
	t.Helper()
	durations := measure(spans, (*sentSpan).duration)
	require.EqualValues(t, len(durations.sorted), r["latency_count"], "%s latency_count", key)
	require.InDelta(t, float64(len(spans)), r["adjusted_requests"], 1e-9, "%s adjusted_requests", key)
	require.EqualValues(t, 0, r["resends"], "%s resends", key)
	if len(durations.sorted) == 0 {
		for _, column := range []string{"sum_latency_ns", "avg_latency_ms", "min_latency_ms", "max_latency_ms", "p99_latency_ms", "slowest_trace_id"} {
			require.Nil(t, r[column], "%s %s", key, column)
		}
	} else {
		n := float64(len(durations.sorted))
		require.EqualValues(t, durations.sum, r["sum_latency_ns"], "%s sum_latency_ns", key)
		require.InEpsilon(t, 1+float64(durations.sum)/1e6/n, 1+r["avg_latency_ms"].(float64), 1e-12, "%s avg_latency_ms", key)
		require.EqualValues(t, float64(durations.sorted[0])/1e6, r["min_latency_ms"], "%s min_latency_ms", key)
		require.EqualValues(t, float64(durations.sorted[len(durations.sorted)-1])/1e6, r["max_latency_ms"], "%s max_latency_ms", key)
		require.Equal(t, slowest(spans), fmt.Sprintf("%v/%v", r["slowest_trace_id"], r["slowest_span_id"]), "%s slowest", key)
	}
	requirePercentiles(t, key, r, "latency", durations, 50, 90, 95, 99)
	ttft := measure(spans, func(s *sentSpan) (int64, bool) { return s.ttft, s.ttft != 0 })
	require.EqualValues(t, len(ttft.sorted), r["ttft_count"], "%s ttft_count", key)
	requirePercentiles(t, key, r, "ttft", ttft, 50, 95, 99)
	requireTokens(t, key, r, spans)
}

func requireTokens(t *testing.T, key string, r row, spans []*sentSpan) {
	t.Helper()
	var usage, input, output int64
	for _, s := range spans {
		if s.countsTokens() {
			usage++
			input += 3 * s.tokens
			output += s.tokens
		}
	}
	require.EqualValues(t, usage, r["usage_count"], "%s usage_count", key)
	require.Nil(t, r["cost_usd"], "%s cost_usd", key)
	if usage == 0 {
		require.Nil(t, r["input_tokens"], "%s input_tokens", key)
		return
	}
	require.EqualValues(t, input, r["input_tokens"], "%s input_tokens", key)
	require.EqualValues(t, output, r["output_tokens"], "%s output_tokens", key)
	require.EqualValues(t, 0, r["reasoning_tokens"], "%s reasoning_tokens", key)
}

// requirePercentiles holds every percentile to 1/128 of the nearest-rank value
// and to [min, max].
func requirePercentiles(t *testing.T, key string, r row, name string, f figures, percentiles ...int) {
	t.Helper()
	for _, p := range percentiles {
		column := fmt.Sprintf("p%d_%s_ms", p, name)
		if len(f.sorted) == 0 {
			require.Nil(t, r[column], "%s %s", key, column)
			continue
		}
		got, want := r[column].(float64)*1e6, float64(f.nearestRank(p))
		require.LessOrEqual(t, math.Abs(got-want), want/128+1e-3, "%s %s: got %v ns, want %v", key, column, got, want)
		require.GreaterOrEqual(t, got, float64(f.sorted[0])-1e-3, "%s %s below the minimum", key, column)
		require.LessOrEqual(t, got, float64(f.sorted[len(f.sorted)-1])+1e-3, "%s %s above the maximum", key, column)
	}
}

func requireLedger(t *testing.T, reader *storage.Reader, spans []sentSpan) {
	t.Helper()
	ledger := map[string]int64{}
	for _, r := range query(t, reader, "SELECT reason, spans FROM ledger") {
		ledger[r["reason"].(string)] = r["spans"].(int64)
	}
	require.Equal(t, map[string]int64{"received": int64(len(spans)), "folded": int64(len(spans))}, ledger)
}

func requireRuns(t *testing.T, reader *storage.Reader, spans []sentSpan) {
	t.Helper()
	type run struct{ first, last, requests int64 }
	want := map[string]*run{}
	for i := range spans {
		s := &spans[i]
		r := want[s.run]
		if r == nil {
			r = &run{first: math.MaxInt64}
			want[s.run] = r
		}
		r.first = min(r.first, s.start)
		r.last = max(r.last, s.start)
		if _, ok := s.duration(); ok {
			r.last = max(r.last, s.end)
		}
		if s.category() == "llm" || s.category() == "embedding" {
			r.requests++
		}
	}
	rows := query(t, reader, "SELECT run_id, first_ns, last_ns, requests FROM runs")
	require.Len(t, rows, len(want))
	for _, r := range rows {
		w := want[r["run_id"].(string)]
		require.NotNil(t, w, "run %v", r["run_id"])
		require.Equal(t, run{r["first_ns"].(int64), r["last_ns"].(int64), r["requests"].(int64)}, *w, "run %v", r["run_id"])
	}
}
