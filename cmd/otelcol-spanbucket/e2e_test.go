package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// widths are the bucket widths of the default configuration, in seconds; the
// first has no rows in latency.
var widths = []int64{1, 10, 300, 3600}

const (
	settleAfter = 60 // seconds, by default
	spansEach   = 2000
)

// TestEndToEnd sends spans of the OpenTelemetry SDK over both protocols to the
// built collector and compares the file, as Debian's sqlite3 shell reads it,
// with what the spans say: while the collector runs, after it stopped, and
// after it was started once more.
func TestEndToEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new folder", "spans%41?#.db")
	begin := time.Now().Add(-10 * time.Minute)
	overGRPC, all := makeTraffic(1, begin, spansEach)
	overHTTP, expected := makeTraffic(2, begin.Add(time.Minute), spansEach)

	collector := startCollector(t, path)
	deliver(t, connect(t, collector, "grpc"), overGRPC)
	// No waiting: acknowledged means committed.
	expectFile(t, path, all)
	all = append(all, expected...)
	deliver(t, connect(t, collector, "http"), overHTTP)
	expectFile(t, path, all)

	collector.stop(t)
	expectOnlyFile(t, path)
	expectFile(t, path, all)
	assert.Equal(t, "ok", ask(t, path, "PRAGMA integrity_check")[0].text("integrity_check"))
	expectOnlyFile(t, path)

	// Late spans of a second life belong to the buckets of the first.
	late, expected := makeTraffic(3, begin, spansEach)
	all = append(all, expected...)
	again := startCollector(t, path)
	deliver(t, connect(t, again, "grpc"), late)
	expectFile(t, path, all)
	again.stop(t)
	expectOnlyFile(t, path)
	expectFile(t, path, all)
}

// TestAcknowledgedSpansSurviveKill ends the collector in the harshest way that
// a process can be ended, and goes on with the file.
func TestAcknowledgedSpansSurviveKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spans.db")
	begin := time.Now().Add(-5 * time.Minute)
	spans, all := makeTraffic(4, begin, spansEach)
	collector := startCollector(t, path)
	deliver(t, connect(t, collector, "grpc"), spans)
	collector.kill()
	expectFile(t, path, all)

	spans, expected := makeTraffic(5, begin, spansEach)
	again := startCollector(t, path)
	deliver(t, connect(t, again, "http"), spans)
	expectFile(t, path, append(all, expected...))
	again.stop(t)
	expectOnlyFile(t, path)
}

// expectFile compares everything the file says with the spans sent.
func expectFile(t *testing.T, path string, spans []sent) {
	t.Helper()
	expectContent(t, path, spans)
	expectLedger(t, path, int64(len(spans)))
}

// expectContent is expectFile but for the ledger.
func expectContent(t *testing.T, path string, spans []sent) {
	t.Helper()
	expectTimeseries(t, path, spans)
	expectDetail(t, path, spans)
	expectBins(t, path, spans)
	expectRunAndMeta(t, path, spans)
	require.False(t, t.Failed(), "the file differs from what was sent")
}

type headlineKey struct {
	width, bucket int64
	category      string
}

func bucketOf(nano, width int64) int64 { return nano / 1e9 / width * width }

func expectTimeseries(t *testing.T, path string, spans []sent) {
	t.Helper()
	expected := map[headlineKey]*sums{}
	for _, width := range widths {
		for key, sums := range group(spans,
			func(s *sent) headlineKey { return headlineKey{width, bucketOf(s.start, width), s.series.category} },
			func(s *sent) headlineKey { return headlineKey{width, bucketOf(s.end, width), s.series.category} }) {
			expected[key] = sums
		}
	}
	rows := ask(t, path, "SELECT *, unixepoch() AS now FROM timeseries")
	require.Len(t, rows, len(expected))
	for _, r := range rows {
		key := headlineKey{r.integer(t, "width_s"), r.integer(t, "bucket_start"), r.text("category")}
		want := expected[key]
		require.NotNil(t, want, "%v was not sent", key)
		assert.Equal(t, runID, r.text("run_id"))
		assert.Equal(t, time.Unix(key.bucket, 0).UTC().Format(time.RFC3339), r.text("bucket_utc"))
		settled := key.bucket+key.width+settleAfter <= r.integer(t, "now")
		assert.Equal(t, settled, r.integer(t, "settled") == 1, "settled of %v", r)
		r.expectNumber(t, "requests_total", want.requests)
		total := int64(0)
		for _, outcome := range outcomes {
			r.expectNumber(t, "requests_"+outcome, want.outcomes[outcome])
			total += r.integer(t, "requests_"+outcome)
		}
		assert.Equal(t, want.requests, total, "outcomes are a partition")
		r.expectNumber(t, "completed_total", want.completed)
		r.expectLatency(t, "latency", want.durations, true, 50, 90, 95, 99)
		r.expectLatency(t, "ttft", want.ttfts, false, 50, 95, 99)
		expectTokens(t, r, want)
		if want.slowest != nil {
			assert.Equal(t, want.slowest.traceID, r.text("slowest_trace_id"))
			assert.Equal(t, want.slowest.spanID, r.text("slowest_span_id"))
		}
	}
}

func expectTokens(t *testing.T, r row, want *sums) {
	t.Helper()
	r.expectNumber(t, "usage_count", want.usage)
	r.expectNumber(t, "input_tokens", want.input)
	r.expectNumber(t, "output_tokens", want.output)
	if want.usage == 0 {
		assert.Nil(t, r["input_tokens"], "no tokens are not 0 tokens")
	}
}

type detailKey struct {
	width, bucket int64
	series        series
}

func expectDetail(t *testing.T, path string, spans []sent) {
	t.Helper()
	expected := map[detailKey]*sums{}
	for _, width := range widths[1:] {
		for key, sums := range group(spans, func(s *sent) detailKey {
			return detailKey{width, bucketOf(s.start, width), s.series}
		}, nil) {
			expected[key] = sums
		}
	}
	rows := ask(t, path, "SELECT * FROM latency")
	require.Len(t, rows, len(expected))
	for _, r := range rows {
		key := detailKey{r.integer(t, "width_s"), r.integer(t, "bucket_start"), series{
			service: r.text("service"), operation: r.text("operation"), kind: r.text("kind"), category: r.text("category"),
			provider: r.text("provider"), model: r.text("model"), tool: r.text("tool"), agent: r.text("agent"),
			outcome: r.text("outcome"), errorType: r.text("error_type"),
		}}
		want := expected[key]
		require.NotNil(t, want, "%v was not sent", key)
		assert.Equal(t, runID, r.text("run_id"))
		r.expectNumber(t, "requests", want.requests)
		r.expectLatency(t, "latency", want.durations, true, 50, 90, 95, 99)
		r.expectLatency(t, "ttft", want.ttfts, false, 50, 95, 99)
		expectTokens(t, r, want)
	}
}

// expectBins checks the long form of the histograms: as many as there are
// latencies, and good for a percentile over any grouping in plain SQL.
func expectBins(t *testing.T, path string, spans []sent) {
	t.Helper()
	assert.Empty(t, ask(t, path, `
		SELECT l.width_s, l.bucket_start, l.series_id, l.latency_count, sum(b.count) AS binned
		FROM latency AS l LEFT JOIN bins AS b USING (width_s, bucket_start, series_id)
		WHERE b.measure = 'duration' OR b.measure IS NULL
		GROUP BY 1, 2, 3 HAVING coalesce(binned, 0) <> l.latency_count`))
	expected := group(spans, func(s *sent) string { return s.series.model }, nil)
	rows := ask(t, path, `
		WITH counted AS (
		  SELECT l.model, b.bin, b.mid_ns, sum(b.count) AS n
		  FROM bins AS b JOIN latency AS l USING (width_s, bucket_start, series_id)
		  WHERE b.measure = 'duration' AND b.width_s = 10 GROUP BY 1, 2),
		ranked AS (
		  SELECT *, sum(n) OVER (PARTITION BY model ORDER BY bin) AS upto, sum(n) OVER (PARTITION BY model) AS total
		  FROM counted)
		SELECT model, total, min(mid_ns) / 1e6 AS p99_ms FROM ranked WHERE upto * 100 >= total * 99 GROUP BY model`)
	require.Len(t, rows, len(expected))
	for _, r := range rows {
		durations := expected[r.text("model")].durations
		r.expectNumber(t, "total", int64(len(durations)))
		sorted := sortedCopy(durations)
		r.expectMillis(t, "p99_ms", float64(nearestRank(sorted, 99)), binError)
	}
}

// expectLedger checks that every span received is accounted for once.
func expectLedger(t *testing.T, path string, folded int64) {
	t.Helper()
	ledger := readLedger(t, path)
	assert.Equal(t, folded, ledger["received"])
	assert.Equal(t, folded, ledger["folded"])
}

// readLedger returns the ledger, which must be a partition.
func readLedger(t *testing.T, path string) map[string]int64 {
	t.Helper()
	ledger := map[string]int64{}
	rest := int64(0)
	for _, r := range ask(t, path, "SELECT reason, spans FROM ledger") {
		reason := r.text("reason")
		ledger[reason] = r.integer(t, "spans")
		if reason != "received" {
			rest += ledger[reason]
		}
	}
	assert.Equal(t, ledger["received"], rest, "the ledger is a partition: %v", ledger)
	return ledger
}

func expectRunAndMeta(t *testing.T, path string, spans []sent) {
	t.Helper()
	first := spans[0].start
	for _, s := range spans {
		first = min(first, s.start)
	}
	runs := ask(t, path, "SELECT * FROM runs")
	require.Len(t, runs, 1)
	assert.Equal(t, runID, runs[0].text("run_id"))
	assert.Equal(t, first, runs[0].integer(t, "first_ns"))
	meta := map[string]string{}
	for _, r := range ask(t, path, "SELECT key, value FROM meta") {
		meta[r.text("key")] = r.text("value")
	}
	assert.Equal(t, "6", meta["schema_version"])
	assert.Regexp(t, regexp.MustCompile("^[0-9a-f]{32}$"), meta["writer_id"])
	assert.Equal(t, "llm,embedding", meta["headline_category"])
}

// expectOnlyFile checks that a stopped collector leaves the file and nothing
// else, readable by its owner alone.
func expectOnlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	assert.Equal(t, []string{filepath.Base(path)}, names)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode())
}

// TestShellIsRecentEnough names the version that the views are written for.
func TestShellIsRecentEnough(t *testing.T) {
	version := ask(t, ":memory:", "SELECT sqlite_version() AS version")[0].text("version")
	parts := strings.Split(version, ".")
	require.Len(t, parts, 3)
	major, err := strconv.Atoi(parts[0])
	require.NoError(t, err)
	minor, err := strconv.Atoi(parts[1])
	require.NoError(t, err)
	assert.GreaterOrEqual(t, 100*major+minor, 338, "sqlite3 %s is too old", version)
}
