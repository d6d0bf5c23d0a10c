package spanbucketexporter

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter/exportertest"

	"github.com/spanbucket/spanbucketexporter/internal/metadata"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// relations are those of the contract that hold content.
var relations = []string{
	"timeseries", "latency", "bins", "histograms", "timeseries_histograms", "runs", "ledger", "notes", "series",
	"requests", "request_stratum", "sessions", "turns", "tools", "tool_calls", "tool_call_spans", "circuits", "circuit_totals",
	"fault_windows", "fault_periods", "phases", "fault_impact", "evaluations", "chaos_results",
}

// volatile columns are not part of the content of a file.
var volatile = map[string]bool{"late": true, "version": true, "settled": true}

// content returns every row of every relation, without what is not content, as
// sorted text.
func content(t *testing.T, path string) []string {
	t.Helper()
	reader := openReader(t, path)
	var lines []string
	for _, relation := range relations {
		for _, r := range query(t, reader, "SELECT * FROM "+relation) {
			if relation == "notes" && r["reason"] == "late" {
				continue
			}
			var columns []string
			for name, value := range r {
				if !volatile[name] {
					columns = append(columns, fmt.Sprintf("%s=%v", name, value))
				}
			}
			slices.Sort(columns)
			lines = append(lines, relation+" "+strings.Join(columns, " "))
		}
	}
	slices.Sort(lines)
	return lines
}

// TestContentDoesNotDependOnTheWay sends the same spans in different orders,
// batches, numbers of goroutines and with restarts in between.
func TestContentDoesNotDependOnTheWay(t *testing.T) {
	r := seedtest.Rand(t)
	all := randomSpans(r, 4000, time.Date(2026, 1, 30, 23, 58, 0, 0, time.UTC), 4*time.Minute)
	var reference []string
	for _, way := range []struct {
		name       string
		goroutines int
		restarts   int
	}{
		{"one goroutine", 1, 0},
		{"eight goroutines", 8, 0},
		{"restarts", 4, 5},
	} {
		t.Run(way.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "spanbucket.db")
			spans := slices.Clone(all)
			r.Shuffle(len(spans), func(i, k int) { spans[i], spans[k] = spans[k], spans[i] })
			for part := range slices.Chunk(spans, len(spans)/(way.restarts+1)+1) {
				e := startExporter(t, testConfig(path))
				sendAll(t, e, r, part, way.goroutines)
				stopExporter(t, e)
			}
			got := content(t, path)
			if reference == nil {
				reference = got
				return
			}
			requireSameTexts(t, reference, got, way.name)
		})
	}
}

// TestLateSpansCorrectTheirBucket commits a bucket, lets it settle and commits
// to it again.
func TestLateSpansCorrectTheirBucket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	start := time.Date(2026, 1, 30, 10, 0, 0, 0, time.UTC)
	now := start
	config := testConfig(path, 10*time.Second, time.Minute)
	e := newTracesExporter(config, exportertest.NewNopSettings(metadata.Type))
	e.now = func() time.Time { return now }
	require.NoError(t, e.start(t.Context(), componenttest.NewNopHost()))
	r := seedtest.Rand(t)
	send := func(after time.Duration, from int64) {
		now = start.Add(after)
		spans := randomSpans(r, 10, start, 10*time.Second)
		for i := range spans {
			spans[i].operation, spans[i].run = "chat", ""
			spans[i].start = start.UnixNano() + from + int64(i)
			spans[i].end = spans[i].start + int64(time.Second)
		}
		require.NoError(t, e.consume(t.Context(), traces(spans)))
	}
	// The bucket of 10 s ends at 10:00:10 and settles at 10:01:10; that of a
	// minute settles at 10:02:00.
	send(70*time.Second-1, 0)
	send(70*time.Second, 100)
	send(120*time.Second, 200)
	require.NoError(t, e.shutdown(t.Context()))

	reader := openReader(t, path)
	rows := query(t, reader, "SELECT width_s, requests_total, completed_total, late FROM timeseries ORDER BY width_s")
	require.Equal(t, []row{
		{"width_s": int64(10), "requests_total": int64(30), "completed_total": int64(30), "late": int64(20)},
		{"width_s": int64(60), "requests_total": int64(30), "completed_total": int64(30), "late": int64(10)},
	}, rows)
	notes := query(t, reader, "SELECT spans FROM notes WHERE reason = 'late'")
	require.Equal(t, []row{{"spans": int64(20)}}, notes, "late is noted once, with the finest width")
	late := query(t, reader, "SELECT width_s, sum(late) AS late FROM latency GROUP BY 1 ORDER BY 1")
	require.Equal(t, []row{{"width_s": int64(10), "late": int64(20)}, {"width_s": int64(60), "late": int64(10)}}, late)
}
