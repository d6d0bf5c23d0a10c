package reliabilitytest

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

func init() { roles["rebuild"] = rebuildRole }

// rebuildRole rebuilds a file, and says how much memory that took at most.
func rebuildRole(o *orders) error {
	var path string
	if err := o.read(&path); err != nil {
		return err
	}
	began := time.Now()
	rebuilt := make(chan struct{})
	logged := largest(path+"-wal", rebuilt)
	done, err := storage.Rebuild(context.Background(), storage.RebuildOptions{Path: path})
	close(rebuilt)
	if err != nil {
		return err
	}
	kib, err := peakKiB()
	if err != nil {
		return err
	}
	say("rebuilt %d %d %d %d %d", done.Requests, done.Changed(), kib, time.Since(began).Milliseconds(), <-logged)
	say("done")
	<-o.stopped
	return nil
}

// largest sends how many bytes a file had at most until the end.
func largest(path string, end <-chan struct{}) <-chan int64 {
	found := make(chan int64, 1)
	go func() {
		var most int64
		for ticker := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-ticker.C:
				if info, err := os.Stat(path); err == nil {
					most = max(most, info.Size())
				}
			case <-end:
				ticker.Stop()
				found <- most
				return
			}
		}
	}()
	return found
}

// peakKiB is the most memory that this process had in RAM.
func peakKiB() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "VmHWM:"); found {
			return strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		}
	}
	return 0, fmt.Errorf("no VmHWM in %q", status)
}

// maxRebuildBytes is what a rebuild may take, whatever the size of the file.
const maxRebuildBytes = 100_000_000

// TestRebuildMemory: the buckets of five million requests come back in bounded
// memory, however many series they have; a small file takes nearly as much.
func TestRebuildMemory(t *testing.T) {
	requests := int64(100_000)
	if long() {
		requests = 5_000_000
	}
	for name, fill := range map[string]func(*testing.T, string){"few series": fillFewSeries, "ten thousand series": fillManySeries} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "spanbucket.db")
			fill(t, path)
			wanted := repeatRequests(t, path, requests)
			var result string
			c := spawn(t, "rebuild", path, func(line string) {
				if strings.HasPrefix(line, "rebuilt ") {
					result = line
				}
			})
			c.await("done", time.Hour)
			c.stop(time.Minute)
			var rows, changed, kib, ms, logged int64
			_, err := fmt.Sscanf(result, "rebuilt %d %d %d %d %d", &rows, &changed, &kib, &ms, &logged)
			require.NoError(t, err, result)
			info, err := os.Stat(path)
			require.NoError(t, err)
			figures.add(t, "rebuild, %s: %d requests, %d rows of buckets: %.1f MB of memory at most, %.1f s, %.0f MB of log beside %.0f MB",
				name, rows, changed, float64(kib)*1024/1e6, float64(ms)/1e3, float64(logged)/1e6, float64(info.Size())/1e6)
			require.Equal(t, wanted, rows)
			require.Less(t, kib*1024, int64(maxRebuildBytes))
			require.Empty(t, problemsOf(t, path))
			require.NoFileExists(t, path+"-wal")
		})
	}
}

func fillFewSeries(t *testing.T, path string) {
	s, r := newTraffic(1), rand.New(rand.NewPCG(1, 1))
	s.Spans = 1000
	e := mustStart(t, fileAt(path))
	for n := range 20 {
		for _, piece := range pieces(r, s.batch(n)) {
			require.NoError(t, deliver(e, piece))
		}
	}
	mustStop(t, e)
}

// fillManySeries writes spans of which hardly two of a batch share a series.
func fillManySeries(t *testing.T, path string) {
	observations := filetest.Traffic(20_000)
	for i := range observations {
		observations[i].Series = aggregator.Series{
			Service: "gateway", Category: aggregator.CategoryLLM, Operation: fmt.Sprintf("operation %d", i*7%10_000),
		}
	}
	o := filetest.Options(path, epoch)
	o.Limits.MaxSeries = 100_000
	require.NoError(t, filetest.MakeWithRequests(o, observations))
}

// repeatRequests copies the requests of a file, each copy two minutes after the
// one before, until there are so many; and removes all buckets. It returns how
// many there are.
func repeatRequests(t *testing.T, path string, wanted int64) int64 {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	db.SetMaxOpenConns(1)
	do := func(statement string, args ...any) {
		_, err := db.Exec(statement, args...)
		require.NoError(t, err, statement)
	}
	columns := ""
	require.NoError(t, db.QueryRow("SELECT group_concat(name, ', ') FROM pragma_table_info('request') WHERE name NOT IN ('id', 'start_ns')").Scan(&columns))
	var before, last, now int64
	require.NoError(t, db.QueryRow("SELECT count(*), max(id) FROM request").Scan(&before, &last))
	do("PRAGMA synchronous = OFF")
	for n := int64(1); n < wanted/before; n++ {
		do(fmt.Sprintf("INSERT INTO request (start_ns, %s) SELECT start_ns + %d, %s FROM request WHERE id <= %d", columns, n*120e9, columns, last))
	}
	require.NoError(t, db.QueryRow("SELECT count(*) FROM request WHERE kept & 1").Scan(&now))
	do("UPDATE series SET newest_s = (SELECT max(start_ns) / 3600000000000 * 3600 + 3600 FROM request)")
	do("UPDATE ledger SET spans = ? WHERE reason IN ('received', 'folded')", now)
	do("DELETE FROM ledger WHERE reason NOT IN ('received', 'folded')")
	for _, table := range []string{"headline_histogram", "slo_bucket", "headline_bucket", "series_histogram", "series_bucket", "run_category"} {
		do("DELETE FROM " + table)
	}
	do("PRAGMA wal_checkpoint(TRUNCATE)")
	return now
}
