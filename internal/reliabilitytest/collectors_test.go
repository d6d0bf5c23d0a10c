package reliabilitytest

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// TestTwoCollectors: a second exporter on a file is refused at its start, within
// a second, and is told who has it; the first goes on.
func TestTwoCollectors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	s := newTraffic(seedtest.Rand(t).Uint64N(1 << 20))
	second := func(t *testing.T, at string, holder ...string) time.Duration {
		t.Helper()
		began := time.Now()
		_, err := startExporter(fileAt(at), "two")
		took := time.Since(began)
		require.ErrorIs(t, err, storage.ErrLocked)
		require.Less(t, took, time.Second)
		for _, text := range append(holder, path) {
			require.ErrorContains(t, err, text)
		}
		return took
	}
	var inside, outside time.Duration
	t.Run("in the same collector", func(t *testing.T) {
		first, err := startExporter(fileAt(path), "one")
		require.NoError(t, err)
		defer mustStop(t, first)
		inside = second(t, path, "process "+strconv.Itoa(os.Getpid()), "spanbucket/one")
		link := path + ".link"
		require.NoError(t, os.Symlink(path, link))
		second(t, link)
		require.NoError(t, deliver(first, s.batch(0)))
	})
	t.Run("in another collector", func(t *testing.T) {
		first := spawn(t, "load", loadOrder{Settings: fileAt(path), Traffic: s}, nil)
		first.await("ready", patience)
		outside = second(t, path, "process "+strconv.Itoa(first.cmd.Process.Pid))
		first.stop(patience)
	})
	t.Run("after a crash", func(t *testing.T) {
		first := spawn(t, "load", loadOrder{Settings: fileAt(path), Traffic: s}, nil)
		first.await("ready", patience)
		first.kill()
		e := mustStart(t, fileAt(path))
		require.NoError(t, deliver(e, s.batch(1)))
		mustStop(t, e)
	})
	// The control: without the file that is locked, nobody is refused.
	t.Run("without the lock", func(t *testing.T) {
		first := mustStart(t, fileAt(path))
		defer mustStop(t, first)
		require.NoError(t, os.Remove(path+".lock"))
		another, err := startExporter(fileAt(path), "two")
		require.NoError(t, err)
		mustStop(t, another)
	})
	figures.add(t, "two collectors on one file: the second is refused after %.0f ms in the same process, after %.0f ms in another",
		float64(inside)/1e6, float64(outside)/1e6)
	if !t.Failed() {
		require.Empty(t, modelOf(&s, []int{0, 1}).differences(t, path))
	}
}
