package reliabilitytest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/exporter"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/internal/vfstest"
)

// ioFault is a fault at one point of an exporter's life.
type ioFault struct {
	vfstest.Fault
	name string
	// dies: the collector dies after the first error that anybody sees, and
	// starts again on the file as it is.
	dies bool
}

func (f *ioFault) String() string {
	lasts, dies := "once", ""
	if f.UntilHealed {
		lasts = "from then on"
	}
	if f.dies {
		dies = ", then the process dies"
	}
	return fmt.Sprintf("%s %d fails %s%s", f.name, f.Nth, lasts, dies)
}

// life is that of an exporter with a fault in it: it creates its file, works,
// its log is moved into the file, it is stopped, started again and works on.
// Whoever gets an error tries again until there is none.
type life struct {
	fault    ioFault
	settings settings
	watched  *vfstest.Folder
	path     string
	traffic  *traffic
	exporter exporter.Traces // nil: not running

	errors       int
	acknowledged []int
	moved        bool // it has died, and lives on a copy
}

const (
	lifeStarts  = 2
	lifeBatches = 3 // of each start
	// healsAfter is how many errors are seen before a lasting fault heals.
	healsAfter = 3
)

// lifeTraffic is the same for every life, and batches are all its batches.
func lifeTraffic() (s traffic, batches []int) {
	for n := range lifeStarts * lifeBatches {
		batches = append(batches, n)
	}
	return newTraffic(4), batches
}

func (l *life) live(t *testing.T) error {
	t.Helper()
	for start := range lifeStarts {
		for n := range lifeBatches {
			if err := l.deliver(t, start*lifeBatches+n); err != nil {
				return err
			}
			if n == 1 {
				if err := checkpoint(l.path, "TRUNCATE"); err != nil {
					l.failed(t, err)
				}
			}
		}
		if l.exporter == nil {
			continue
		}
		err := l.exporter.Shutdown(context.Background())
		l.exporter = nil
		if err != nil {
			l.failed(t, err)
		}
	}
	return nil
}

// deliver delivers a batch until it is acknowledged. After a death the one
// acknowledged last is delivered once more.
func (l *life) deliver(t *testing.T, n int) error {
	t.Helper()
	again := []int{n}
	var err error
	for began := time.Now(); len(again) > 0; {
		if time.Since(began) > 15*time.Second {
			return fmt.Errorf("batch %d is not taken: %w", n, err)
		}
		moved := l.moved
		err = l.start()
		if err == nil {
			err = l.exporter.ConsumeTraces(context.Background(), otlp(smallBatch(l.traffic, again[0])))
		}
		if err == nil {
			if !slices.Contains(l.acknowledged, again[0]) {
				l.acknowledged = append(l.acknowledged, again[0])
			}
			again = again[1:]
			continue
		}
		if isPermanent(err) {
			return err
		}
		l.failed(t, err)
		if l.moved && !moved && len(l.acknowledged) > 0 {
			again = append(again, l.acknowledged[len(l.acknowledged)-1])
		}
	}
	return nil
}

func (l *life) start() error {
	if l.exporter != nil {
		return nil
	}
	e, err := startExporter(l.settings.with("path", l.path), "")
	if err == nil {
		l.exporter = e
	}
	return err
}

// failed is called after every error that the exporter returned.
func (l *life) failed(t *testing.T, cause error) {
	t.Helper()
	if l.errors++; l.errors == healsAfter {
		l.watched.Heal()
	}
	if !l.fault.dies || l.moved {
		return
	}
	// The process dies: what follows sees the file as it is now, and nothing
	// that the exporter does from here on.
	l.moved = true
	path := in(memoryDir(t))
	require.NoError(t, copyFiles(filepath.Dir(l.path), filepath.Dir(path)), cause)
	l.watched.Heal()
	if l.exporter != nil {
		_ = l.exporter.Shutdown(context.Background())
		l.exporter = nil
	}
	l.path = path
}

// copyFiles copies a database with its log and journal.
func copyFiles(from, to string) error {
	for _, suffix := range []string{"", "-wal", "-journal"} {
		content, err := os.ReadFile(filepath.Join(from, fileName+suffix))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, fileName+suffix), content, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// oneLife lives one life. hit tells whether the fault was met.
func oneLife(t *testing.T, s settings, fault ioFault, want *expectation, into *tally) (hit bool) {
	t.Helper()
	folder := memoryDir(t)
	watched := watch(t, folder)
	defer watched.Close()
	all, batches := lifeTraffic()
	l := &life{fault: fault, settings: s, watched: watched, path: in(folder), traffic: &all}
	watched.Inject(fault.Fault)
	defer func() {
		// There are many lives; what they leave must not add up.
		_, _ = os.RemoveAll(folder), os.RemoveAll(filepath.Dir(l.path))
	}()
	err := l.live(t)
	hit = watched.Failures() > 0
	watched.Heal()
	if l.exporter != nil {
		_ = l.exporter.Shutdown(context.Background())
	}
	if !hit {
		require.Zero(t, l.errors, "without a fault: %v", err)
	}
	var lost, twice int64
	if err == nil {
		c := crash{traffic: &all, batches: batches, want: want, acknowledged: batches, tried: map[int]bool{}}
		lost, twice, err = c.settled(l.path)
	}
	if hit {
		into.add(&fault, lost, twice, err)
	}
	return hit
}

// pointOfFailure is what is moved through a life.
type pointOfFailure struct {
	name  string
	fault vfstest.Fault
	// step is by how much the quick tier moves it; the long one goes to every
	// point, in all four ways.
	step int
}

var pointsOfFailure = []pointOfFailure{
	{"write", vfstest.Fault{Operations: vfstest.Write, Code: vfstest.CodeWrite}, 31},
	{"write to a full disk", vfstest.Fault{Operations: vfstest.Write, Code: vfstest.CodeFull, Partial: true}, 37},
	{"sync", vfstest.Fault{Operations: vfstest.Sync, Code: vfstest.CodeSync}, 1},
	{"truncate", vfstest.Fault{Operations: vfstest.Truncate, Code: vfstest.CodeTruncate}, 1},
	{"delete", vfstest.Fault{Operations: vfstest.Delete, Code: vfstest.CodeDelete}, 1},
	{"open", vfstest.Fault{Operations: vfstest.Open, Code: vfstest.CodeOpen}, 4},
	{"read", vfstest.Fault{Operations: vfstest.Read, Code: vfstest.CodeRead}, 10},
}

// ways are how a fault lasts and what follows it.
var ways = []struct{ untilHealed, dies bool }{{false, false}, {true, false}, {false, true}, {true, true}}

// moveThrough moves the point of failure from the first such operation of a
// life to the last.
func (p *pointOfFailure) moveThrough(t *testing.T, s settings, want *expectation, into *tally) {
	t.Helper()
	r := seedtest.Rand(t)
	for nth, i := 1, 0; ; i++ {
		hit := false
		for w, way := range ways {
			if !long() && w != i%len(ways) {
				continue
			}
			fault := ioFault{Fault: p.fault, name: p.name, dies: way.dies}
			fault.Nth, fault.UntilHealed = nth, way.untilHealed
			hit = oneLife(t, s, fault, want, into) || hit
		}
		if !hit {
			return
		}
		if nth++; !long() {
			nth += r.IntN(2*p.step - 1)
		}
	}
}

// TestFailingWritesAndSyncs: wherever in its life an operation of the exporter
// fails, once or from then on, and whether it goes on or dies of it, every span
// is counted once in the end.
func TestFailingWritesAndSyncs(t *testing.T) {
	beside(t)
	all, batches := lifeTraffic()
	want := expect(t, &all, batches)
	var mu sync.Mutex
	var total tally
	var parts []string
	t.Run("points", func(t *testing.T) {
		for i := range pointsOfFailure {
			point := &pointsOfFailure[i]
			t.Run(point.name, func(t *testing.T) {
				t.Parallel()
				var part tally
				point.moveThrough(t, settings{"synchronous": "full"}, &want, &part)
				mu.Lock()
				defer mu.Unlock()
				total.merge(&part)
				parts = append(parts, fmt.Sprintf("%d of %s", part.crashes, point.name))
			})
		}
	})
	slices.Sort(parts)
	defer figures.add(t, "failing operations: %d (%s), %d spans lost, %d twice, %d files wrong otherwise",
		total.crashes, strings.Join(parts, ", "), total.lost, total.twice, total.corrupt)
	total.requireClean(t)
}

// TestFailingSyncsWithoutDeduplicationCountTwice is the control: a commit that
// failed may be in the file all the same.
func TestFailingSyncsWithoutDeduplicationCountTwice(t *testing.T) {
	beside(t)
	all, batches := lifeTraffic()
	want := expect(t, &all, batches)
	var total tally
	for _, p := range pointsOfFailure {
		if p.name == "sync" {
			p.moveThrough(t, settings{"synchronous": "full"}.withoutDeduplication(), &want, &total)
		}
	}
	figures.add(t, "control, failing syncs without deduplication: %d, %d spans lost, %d twice", total.crashes, total.lost, total.twice)
	require.Positive(t, total.twice)
	require.Zero(t, total.lost)
}
