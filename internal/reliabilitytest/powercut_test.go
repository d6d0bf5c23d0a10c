package reliabilitytest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/exporter"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/internal/vfstest"
)

// recordedLoad is a recording of an exporter's life: it creates its file, works,
// is stopped and started again, while the log is moved into the file now and
// then. A mark is the number of a batch that was acknowledged.
type recordedLoad struct {
	*vfstest.Recording
	traffic traffic
	batches []int
	// begun is the position at which each batch was sent, at the latest.
	begun map[int]int
	// firstMark is the position of the first acknowledgement.
	firstMark int
	want      expectation
}

const (
	maxRecording = 256 << 20 // bytes
	// wholeEvery is after how many cuts all content is compared and not only
	// the sums: that takes as long as everything else.
	wholeEvery = 20
)

// recordLoad records a life of so many starts.
func recordLoad(t *testing.T, r *rand.Rand, synchronous string, starts int, dropSyncs bool) *recordedLoad {
	t.Helper()
	folder := memoryDir(t)
	watched := watch(t, folder)
	watched.DropSyncs(dropSyncs)
	recording, err := watched.Record(maxRecording)
	require.NoError(t, err)
	l := &recordedLoad{Recording: recording, traffic: newTraffic(r.Uint64N(1 << 20)), begun: map[int]int{}}
	for range starts {
		e := mustStart(t, fileAt(in(folder)).with("synchronous", synchronous))
		// The exporter syncs the folder with the operating system, at the end
		// of its start.
		l.FolderSynced()
		for range 2 + r.IntN(3) {
			l.send(t, e, 1+r.IntN(5))
			if r.IntN(2) == 0 {
				require.NoError(t, checkpoint(in(folder), pick(r, "PASSIVE", "RESTART", "TRUNCATE")))
			}
		}
		mustStop(t, e)
	}
	require.NoError(t, l.Stop())
	watched.Close()
	for len(l.Marks(l.firstMark)) == 0 {
		l.firstMark++
	}
	l.want = expect(t, &l.traffic, l.batches)
	return l
}

// send sends some batches at once, so that some share a commit.
func (l *recordedLoad) send(t *testing.T, e exporter.Traces, n int) {
	t.Helper()
	var senders sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		batch := len(l.batches)
		l.batches = append(l.batches, batch)
		l.begun[batch] = l.Len()
		senders.Go(func() {
			if errs[i] = deliver(e, smallBatch(&l.traffic, batch)); errs[i] == nil {
				l.Mark(batch)
			}
		})
	}
	senders.Wait()
	require.NoError(t, errors.Join(errs...))
}

// tally is what came of crashes.
type tally struct {
	mu             sync.Mutex
	crashes        int
	lossy, corrupt int   // crashes
	lost, twice    int64 // spans
	examples       []string
}

// add counts one crash; err says what is wrong with the file.
func (c *tally) add(what fmt.Stringer, lost, twice int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.crashes++
	c.lost, c.twice = c.lost+lost, c.twice+twice
	if lost > 0 {
		c.lossy++
	}
	if err != nil {
		c.corrupt++
	}
	if (lost != 0 || twice != 0 || err != nil) && len(c.examples) < 5 {
		c.examples = append(c.examples, fmt.Sprintf("%v: %d spans lost, %d twice, %v", what, lost, twice, err))
	}
}

// merge adds another tally.
func (c *tally) merge(other *tally) {
	c.crashes, c.lossy, c.corrupt = c.crashes+other.crashes, c.lossy+other.lossy, c.corrupt+other.corrupt
	c.lost, c.twice = c.lost+other.lost, c.twice+other.twice
	c.examples = append(c.examples, other.examples...)
}

// requireClean fails the test where anything was lost, counted twice or broken.
func (c *tally) requireClean(t *testing.T) {
	t.Helper()
	require.Empty(t, c.examples)
	require.Zero(t, c.lost)
	require.Zero(t, c.twice)
	require.Zero(t, c.corrupt)
	require.Positive(t, c.crashes)
}

// cutPower cuts the recording at random, every fourth time before anything was
// acknowledged, and recovers.
func (l *recordedLoad) cutPower(t *testing.T, r *rand.Rand, cuts int, into *tally) {
	t.Helper()
	memory := memoryDir(t)
	for i := range cuts {
		end := l.Len() + 1
		if i%4 == 0 {
			end = l.firstMark
		}
		cut := vfstest.Cut{
			Position: r.IntN(end), Keep: vfstest.Keep(r.IntN(vfstest.NumKeeps)), StrictNames: r.IntN(2) == 0,
		}
		folder, err := os.MkdirTemp(memory, "cut-")
		require.NoError(t, err)
		require.NoError(t, l.Write(r, cut, folder))
		crash := crash{
			traffic: &l.traffic, batches: l.batches, want: &l.want, acknowledged: l.Marks(cut.Position), tried: map[int]bool{},
		}
		for n, position := range l.begun {
			crash.tried[n] = position <= cut.Position
		}
		lost, twice, err := crash.recover(r, in(folder), i%wholeEvery == 0)
		into.add(cut, lost, twice, err)
		require.NoError(t, os.RemoveAll(folder))
	}
}

// cutSizes are how many recordings are made, and how often each is cut.
func cutSizes() (recordings, cuts, controlCuts int) {
	if long() {
		return 100, 100, 200
	}
	return 6, 50, 40
}

// TestPowerCuts: what was acknowledged is in the file after a power cut at any
// instant, whatever becomes of what was not synced, and the file is whole.
func TestPowerCuts(t *testing.T) {
	beside(t)
	recordings, cuts, _ := cutSizes()
	var total tally
	var operations atomic.Int64
	t.Run("recordings", func(t *testing.T) {
		for i := range recordings {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				r := seedtest.Rand(t)
				l := recordLoad(t, r, "full", 3, false)
				operations.Add(int64(l.Len()))
				l.cutPower(t, r, cuts, &total)
			})
		}
	})
	defer figures.add(t, "power cuts: %d in %d recordings of %d operations, %d spans lost, %d twice, %d files corrupt",
		total.crashes, recordings, operations.Load(), total.lost, total.twice, total.corrupt)
	total.requireClean(t)
}

// TestPowerCutsFindWhatIsNotSynced is the control: with synchronous=normal
// acknowledged spans are lost, though files stay whole; with syncs that do
// nothing files break.
func TestPowerCutsFindWhatIsNotSynced(t *testing.T) {
	for _, c := range []struct {
		name        string
		synchronous string
		dropSyncs   bool
	}{
		{name: "synchronous normal", synchronous: "normal"},
		{name: "syncs that do nothing", synchronous: "full", dropSyncs: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			beside(t)
			_, _, cuts := cutSizes()
			r, tally := seedtest.Rand(t), &tally{}
			recordLoad(t, r, c.synchronous, 2, c.dropSyncs).cutPower(t, r, cuts, tally)
			figures.add(t, "control, power cuts with %s: %d, acknowledged spans lost in %d, %d files corrupt",
				c.name, tally.crashes, tally.lossy, tally.corrupt)
			require.Positive(t, tally.lost)
			require.Equal(t, c.dropSyncs, tally.corrupt > 0, tally.examples)
			require.Zero(t, tally.twice)
		})
	}
}
