package live

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

// A connection that has come to nothing is replaced, and no viewer learns of it.
func TestBrokenConnectionIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	end := filetest.Begin.Add(2 * time.Hour)
	filetest.Write(t, filetest.Options(path, end), filetest.Traffic(100))
	r := newReports(path, analysis.Query{}, func() time.Time { return end })
	defer func() { require.NoError(t, r.file.close()) }()
	before, err := r.get(t.Context(), request{})
	require.NoError(t, err)
	broken := r.file.open
	require.NoError(t, broken.probe.Close())
	after, err := r.get(t.Context(), request{})
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))
	require.NotSame(t, broken, r.file.open)
	require.True(t, broken.stale)
	require.Zero(t, broken.users)
}

// An error is logged once a minute, though other viewers get their answers, and
// of different errors so many as can be read.
func TestErrorsAreLoggedOnceAMinute(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	end := filetest.Begin.Add(2 * time.Hour)
	filetest.Write(t, filetest.Options(path, end), filetest.Traffic(100))
	now := end
	var logged bytes.Buffer
	s := &server{
		o:       Options{Log: log.New(&logged, "", 0), Now: func() time.Time { return now }},
		reports: newReports(path, analysis.Query{}, func() time.Time { return now }), logged: map[string]time.Time{},
	}
	defer func() { require.NoError(t, s.reports.file.close()) }()
	lines := func() int { return strings.Count(logged.String(), "\n") }
	for range 10 {
		s.log(errors.New("disk"))
		answer := httptest.NewRecorder()
		s.report(answer, httptest.NewRequest(http.MethodGet, "/report.json", nil))
		require.Equal(t, http.StatusOK, answer.Code)
		now = now.Add(time.Second)
	}
	require.Equal(t, 1, lines())
	now = now.Add(logEvery)
	s.log(errors.New("disk"))
	require.Equal(t, 2, lines())
	for i := range 100 {
		s.log(fmt.Errorf("error %d", i))
	}
	require.Equal(t, 1+maxLogged, lines())
	now = now.Add(logEvery)
	s.log(errors.New("later"))
	require.Equal(t, 2+maxLogged, lines())
	require.Len(t, s.logged, 1, "what is long ago is forgotten")
}
