package spanbucketexporter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// TestRecordingFromLastYear: what was recorded a year ago is all there in a new
// file, with the retention that is the default, and after every restart.
func TestRecordingFromLastYear(t *testing.T) {
	path := newFile(t)
	const spans = 200
	recording := make([]ptrace.Traces, spans)
	for i := range recording {
		recording[i] = chatSpan(nil)
		span := recording[i].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		span.SetSpanID([8]byte{1, byte(i)})
		start := time.Now().AddDate(-1, 0, 0).Add(time.Duration(i) * 7 * time.Minute) // 23 hours and 20 minutes
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Second)))
	}
	requireAll := func(reader *storage.Reader) {
		t.Helper()
		require.Equal(t, []row{
			{"width_s": int64(1), "n": int64(spans)}, {"width_s": int64(10), "n": int64(spans)},
			{"width_s": int64(300), "n": int64(spans)}, {"width_s": int64(3600), "n": int64(spans)},
		}, query(t, reader, "SELECT width_s, sum(requests_total) AS n FROM timeseries GROUP BY 1 ORDER BY 1"))
		require.Equal(t, []row{{"n": int64(spans)}}, query(t, reader, "SELECT count(*) AS n FROM requests"))
		require.Empty(t, query(t, reader, "SELECT * FROM pruned"))
	}
	requireAll(fileAfter(t, path, "", recording...))
	config, err := configFromYAML(t, "")
	require.NoError(t, err)
	for range 2 {
		o := config.storageOptions()
		o.Path = path
		store, err := storage.Open(t.Context(), o)
		require.NoError(t, err)
		require.NoError(t, store.Prune(t.Context()), "what the collector does at its start, and every ten seconds")
		require.NoError(t, store.Close())
		requireAll(openReader(t, path))
	}
}
