package live

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

// Viewers of one pick get the same bytes, read once, until the file changes and
// a second has passed.
func TestViewersShareAReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	end := filetest.Begin.Add(2 * time.Hour)
	o := filetest.Options(path, end)
	filetest.Write(t, o, filetest.Traffic(500))
	var clock atomic.Int64
	clock.Store(end.UnixNano())
	r := newReports(path, analysis.Query{}, func() time.Time { return time.Unix(0, clock.Load()) })
	defer func() { require.NoError(t, r.file.close()) }()
	bodies := make([][]byte, 40)
	var wg sync.WaitGroup
	for i := range bodies {
		wg.Go(func() {
			var err error
			if bodies[i], err = r.get(t.Context(), request{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, body := range bodies {
		require.Same(t, &bodies[0][0], &body[0])
	}
	get := func() []byte {
		body, err := r.get(t.Context(), request{})
		require.NoError(t, err)
		return body
	}
	clock.Add(int64(time.Hour))
	require.Same(t, &bodies[0][0], &get()[0], "an hour later, of a file that stayed")
	// A commit shows after a second.
	more := filetest.Traffic(600)[500:]
	filetest.Write(t, o, more)
	clock.Add(int64(2 * time.Second))
	changed := get()
	require.NotEqual(t, string(bodies[0]), string(changed))
	filetest.Write(t, o, filetest.Traffic(700)[600:])
	require.Same(t, &changed[0], &get()[0], "within the same second")
	clock.Add(int64(2 * time.Second))
	require.NotEqual(t, string(changed), string(get()))
}

// Of many views so many are kept as were used last; one that is not there is
// not.
func TestReportsThatAreKeptAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	end := filetest.Begin.Add(2 * time.Hour)
	observations := filetest.Traffic(2 * (maxKept + 10))
	for i := range observations {
		observations[i].Series.Run = fmt.Sprintf("run %d", i/2)
		observations[i].Rejected, observations[i].Series.Category = aggregator.NotRejected, aggregator.CategoryLLM
	}
	filetest.Write(t, filetest.Options(path, end), observations)
	var now atomic.Int64
	r := newReports(path, analysis.Query{}, func() time.Time { return end.Add(time.Duration(now.Add(1))) })
	defer func() { require.NoError(t, r.file.close()) }()
	for i := range maxKept + 10 {
		_, err := r.get(t.Context(), request{hasRun: true, run: fmt.Sprintf("run %d", i)})
		require.NoError(t, err)
		_, err = r.get(t.Context(), request{hasRun: true, run: fmt.Sprintf("nobody %d", i)})
		require.ErrorIs(t, err, errNoPick)
	}
	require.Len(t, r.kept, maxKept)
	require.NotContains(t, r.kept, request{hasRun: true, run: "run 0"})
	require.Contains(t, r.kept, request{hasRun: true, run: fmt.Sprintf("run %d", maxKept+9)})
}
