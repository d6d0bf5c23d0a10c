package reliabilitytest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// soak is a collector under a steady load, with a fault every so often.
type soak struct {
	path    string
	order   loadOrder
	account *account
	child   *child
	began   time.Time
	faults  map[string]int
	held    time.Duration // how long locks are held
	rss     []sample
	snap    *sql.Tx // of a reader that holds on to the log
	reader  *storage.Reader
}

// sample is the memory of the child at an instant of the soak.
type sample struct {
	after time.Duration
	kib   int64
}

const (
	soakSpansPerSecond = 2000
	soakBatch          = 200
	soakSenders        = 4
)

// soakTime is how long the soak lasts, and whether it is a real one.
func soakTime(t *testing.T) (time.Duration, bool) {
	t.Helper()
	text := os.Getenv(soakVariable)
	if text == "" {
		return 10 * time.Second, false
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, soakVariable)
	return d, d >= 10*time.Minute
}

// TestSoak keeps a collector at 2,000 spans a second. It is killed twice in the
// beginning; from then on one process lives through all other faults, and its
// memory is watched from two fifths of the time on, when it has been full for
// long.
func TestSoak(t *testing.T) {
	beside(t)
	lasts, real := soakTime(t)
	s := newSoak(t)
	every := time.Minute
	if s.held = 5 * time.Second; !real {
		every = lasts / 8
		s.held = every / 3
	}
	s.start(t)
	settled := lasts * 2 / 5
	faults := []func(*testing.T){s.kill, s.lock, s.kill, s.pin, s.command}
	again := []func(*testing.T){s.lock, s.pin, s.command}
	tick := time.NewTicker(every / 60)
	defer tick.Stop()
	for next := every; time.Since(s.began) < lasts; {
		<-tick.C
		s.sample()
		if time.Since(s.began) < next {
			continue
		}
		next += every
		if len(faults) == 0 {
			faults = again
		}
		faults[0](t)
		faults = faults[1:]
	}
	s.finish(t)
	s.judge(t, lasts, settled, real)
}

func newSoak(t *testing.T) *soak {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	traffic := traffic{
		Seed: seedtest.Rand(t).Uint64N(1 << 20), From: time.Now().UnixNano(), Spans: soakBatch,
		Step: time.Second * soakBatch / soakSpansPerSecond, Spread: time.Second,
	}
	return &soak{
		path: path, account: newAccount(&traffic), faults: map[string]int{}, began: time.Now(),
		order: loadOrder{Settings: fileAt(path).with("dedup", map[string]any{"max_spans": 500_000})},
	}
}

func (s *soak) start(t *testing.T) {
	order := s.account.order(s.order.Settings)
	order.Goroutines, order.Repeat = soakSenders, 0.05
	order.Every = time.Second * soakBatch * soakSenders / soakSpansPerSecond
	s.child = spawn(t, "load", order, s.account.hear)
	s.child.await("ready", patience)
	s.child.await("again", patience)
	s.account.settle(order.Again)
}

func (s *soak) sample() {
	if kib := residentKiB(s.child.cmd.Process.Pid); kib > 0 {
		s.rss = append(s.rss, sample{time.Since(s.began), kib})
	}
}

func (s *soak) kill(t *testing.T) {
	s.faults["killed"]++
	s.child.kill()
	s.start(t)
}

// lock keeps the collector from writing for a while.
func (s *soak) lock(t *testing.T) {
	s.faults["locked"]++
	spawn(t, "lock", lockOrder{Path: s.path, Statements: []string{"BEGIN IMMEDIATE"}, For: s.held}, nil)
}

// pin is a reader that keeps its snapshot until the next fault: the log cannot
// be emptied.
func (s *soak) pin(t *testing.T) {
	s.faults["pinned"]++
	s.reader = openReader(t, s.path)
	tx, err := s.reader.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	var rows int
	require.NoError(t, tx.QueryRow("SELECT count(*) FROM ledger").Scan(&rows))
	s.snap = tx
}

// command writes to the file as the command line does, and lets the reader go.
func (s *soak) command(t *testing.T) {
	s.faults["written by a command"]++
	s.unpin(t)
	n := int64(s.faults["written by a command"])
	_, err := storage.ImportFaultWindows(context.Background(), s.path, []aggregator.FaultWindow{{
		Fault: "latency", StartUnixNano: s.began.UnixNano() + n, EndUnixNano: s.began.UnixNano() + n + 1e9,
	}})
	require.NoError(t, err)
}

func (s *soak) unpin(t *testing.T) {
	if s.snap != nil {
		require.NoError(t, s.snap.Rollback())
		require.NoError(t, s.reader.Close())
		s.snap, s.reader = nil, nil
	}
}

func (s *soak) finish(t *testing.T) {
	s.unpin(t)
	s.child.tell(stopOrder)
	s.child.await("stopped", patience)
	require.Empty(t, s.account.owed)
}

// judge compares the totals with the model and the memory with its limits.
func (s *soak) judge(t *testing.T, lasts, settled time.Duration, real bool) {
	batches := s.account.batches()
	_, tried := s.account.spans()
	folded, distinct := counted(t, s.path)
	reader := openReader(t, s.path)
	ledger := ledgerOf(t, reader)
	require.NoError(t, reader.Close())
	// The faults take turns, and memory follows them: like is compared with like.
	turn := lasts * 3 / 20
	first, last, most := s.median(settled, settled+turn), s.median(lasts-turn, lasts), int64(0)
	for _, one := range s.rss {
		most = max(most, one.kib)
	}
	figures.add(t, "soak: %v, %d spans acknowledged, %d lost, %d twice, %d second deliveries left out, faults %v; memory %.1f MB from %v on, %.1f MB in the end, %.1f MB at most",
		lasts, tried, tried-distinct, folded-distinct, ledger["duplicate"], s.faults, float64(first)/1024, settled, float64(last)/1024, float64(most)/1024)
	require.Empty(t, modelOf(s.account.traffic, batches).differences(t, s.path))
	require.Empty(t, problemsOf(t, s.path))
	require.Positive(t, ledger["duplicate"])
	require.Greater(t, tried, int64(lasts.Seconds()*soakSpansPerSecond*0.8), "the load was not what it should be")
	if runtime.GOOS == "linux" {
		require.Positive(t, first)
	}
	require.LessOrEqual(t, most, int64(150<<10), "KiB")
	if real {
		require.LessOrEqual(t, last-first, int64(5<<10), "KiB from %v to %v", settled, lasts)
	}
}

// median is the memory during an interval: a garbage collector makes a saw of it.
func (s *soak) median(from, to time.Duration) int64 {
	var kib []int64
	for _, one := range s.rss {
		if one.after >= from && one.after < to {
			kib = append(kib, one.kib)
		}
	}
	if len(kib) == 0 {
		return 0
	}
	slices.Sort(kib)
	return kib[len(kib)/2]
}

// residentKiB is the memory of a process that is in RAM; 0 where the system does
// not say.
func residentKiB(process int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kib
		}
	}
	return 0
}
