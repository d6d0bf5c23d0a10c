package live

import (
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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

// However many picks are asked for, so many are kept.
func TestReportsThatAreKeptAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	end := filetest.Begin.Add(2 * time.Hour)
	filetest.Write(t, filetest.Options(path, end), filetest.Traffic(50))
	r := newReports(path, analysis.Query{}, func() time.Time { return end })
	defer func() { require.NoError(t, r.file.close()) }()
	for width := range int64(maxKept + 10) {
		_, err := r.get(t.Context(), request{width: width})
		require.NoError(t, err)
		_, err = r.get(t.Context(), request{hasRun: true, run: string(rune('a' + width))})
		require.ErrorIs(t, err, errNoPick)
	}
	require.Len(t, r.kept, maxKept)
}
