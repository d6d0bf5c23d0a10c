package analysis_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

// failingFileOf returns a file of an older schema with one llm request that failed
// and took two seconds; it has a row from schema 2 on.
func failingFileOf(t *testing.T, schema int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "older.db")
	steps, err := filepath.Glob("../storage/migrations/*.sql")
	require.NoError(t, err)
	for _, step := range steps[:schema] {
		text, err := os.ReadFile(step)
		require.NoError(t, err)
		execute(t, path, string(text))
	}
	start := filetest.Begin.Unix()
	execute(t, path, fmt.Sprintf(`PRAGMA application_id = 1399865963; PRAGMA user_version = %d;
		INSERT INTO meta (key, value) VALUES ('schema_version', '%d'), ('version', '1'), ('histogram_precision_bits', '6'),
			('settle_after_s', '60'), ('max_series', '5'), ('headline_category', 'llm'), ('writer_id', 'x'),
			('widths', '[{"width_s": 10, "retention_s": 0, "detail": "series"}]');
		INSERT INTO run (run_id, first_ns, last_ns, version) VALUES ('', %d000000000, %d000000000, 1);
		INSERT INTO series VALUES (7, '', 's', 'chat', 'client', 'llm', 'p', 'm', '', '', 'server_error', '500', '', '{}', 1);
		INSERT INTO headline_bucket (id, width_s, bucket_start, run_id, category, version, requests, adjusted_micro, late, resends,
			usage_count, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, priced_count,
			cost_nano_usd, completed, injected, success, rate_limited, capacity_error, server_error, client_error,
			connection_error, malformed, cancelled, circuit_open, other_error, latency_count, sum_latency_ns, min_latency_ns,
			max_latency_ns, ttft_count, sum_ttft_ns, slowest_trace_id, slowest_span_id)
		VALUES (1, 10, %d, '', 'llm', 1, 1, 1000000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2000000000, 2000000000,
			2000000000, 0, 0, x'00000000000000000000000000000001', x'0000000000000002');
		INSERT INTO series_bucket (id, width_s, bucket_start, series_id, version, requests, adjusted_micro, late, resends,
			usage_count, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, priced_count,
			cost_nano_usd, latency_count, sum_latency_ns, min_latency_ns, max_latency_ns, net_latency_count, sum_net_latency_ns,
			ttft_count, sum_ttft_ns, time_per_output_token_count, sum_time_per_output_token_ns, slowest_trace_id, slowest_span_id)
		VALUES (1, 10, %d, 7, 1, 1, 1000000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2000000000, 2000000000, 2000000000, 0, 0, 0, 0, 0, 0,
			x'00000000000000000000000000000001', x'0000000000000002');
		INSERT INTO headline_histogram VALUES (1, '{"1600":1}', NULL);
		INSERT INTO series_histogram VALUES (1, '{"1600":1}', NULL, NULL, NULL);
		UPDATE headline_histogram SET duration = '{"' || %d || '":1}';
		UPDATE series_histogram SET duration = '{"' || %d || '":1}'`,
		schema, schema, start, start+2, start, start, histogram.BinOf(2e9), histogram.BinOf(2e9)))
	if schema >= 2 {
		execute(t, path, `INSERT INTO request (start_ns, span_id, trace_id, kind, duration_ns, copy, series_id, kept, status_code)
			VALUES (?, x'0000000000000002', x'00000000000000000000000000000001', 3, 2000000000, 0, 7, 1, 503)`, filetest.Begin.UnixNano())
	}
	return path
}

// Files that no present writer has opened answer with what they have.
func TestAnswersOfOlderSchemas(t *testing.T) {
	q := analysis.Query{Now: filetest.Begin.Add(time.Hour)}
	for schema := 1; schema <= 4; schema++ {
		path := failingFileOf(t, schema)
		e := ask(t, path, askErrors(q))
		require.Equal(t, int64(1), e.Errors)
		require.Equal(t, "00000000000000000000000000000001", e.ByType[0].Samples[0].TraceID)
		require.False(t, e.StatusCodes.Complete, "it does not say")
		s := ask(t, path, slow(analysis.SlowQuery{Query: q}))
		require.Len(t, s.Rows, 1)
		require.Equal(t, 2000.0, s.Rows[0].LatencyMS)
		rows := ask(t, path, requests(analysis.RequestsQuery{Query: q})).Rows
		if schema == 1 {
			require.Equal(t, "buckets", s.Source)
			require.Empty(t, rows)
			require.Empty(t, e.StatusCodes.Codes)
		} else {
			require.Equal(t, "requests", s.Source)
			require.Len(t, rows, 1)
			require.Equal(t, int64(503), *e.StatusCodes.Codes[0].StatusCode)
		}
		require.Equal(t, int64(1), ask(t, path, askUsage(analysis.UsageQuery{Query: q})).Total.Requests)
		q := q
		q.From = filetest.Begin
		require.Equal(t, int64(1), ask(t, path, window(q)).Inside.Errors)
		require.Equal(t, int64(1), ask(t, path, askLatency(analysis.LatencyQuery{Query: q, Correlate: true})).Rows[0].Errors)
	}
}

// Where no width has detail by series, only the headline answers.
func TestAnswersWithoutSeries(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	q := analysis.Query{Now: now, From: filetest.Begin, To: filetest.Begin.Add(time.Minute)}
	path := makeFile(t, filetest.Traffic(1200), now)
	execute(t, path, "DELETE FROM series_histogram")
	execute(t, path, "DELETE FROM series_bucket")
	execute(t, path, `UPDATE meta SET value = replace(value, '"series"', '"headline"') WHERE key = 'widths'`)
	require.Zero(t, ask(t, path, askErrors(q)).Requests)
	require.Empty(t, ask(t, path, askUsage(analysis.UsageQuery{Query: q})).Rows)
	w := ask(t, path, window(q))
	require.Positive(t, w.Inside.Errors)
	require.Empty(t, w.ErrorTypes.Rows)
	require.Nil(t, w.ErrorTypes.FromUTC)
	require.NotEmpty(t, ask(t, path, slow(analysis.SlowQuery{Query: q})).Rows)
}
