package reliabilitytest

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// patience is how long a test waits for what takes no time on a machine at
// rest.
const patience = 2 * time.Minute

// killing is a file whose collector is killed again and again.
type killing struct {
	r        *rand.Rand
	settings settings
	path     string
	account  *account
	cycles   int
	// forgetful delivers nothing again that was acknowledged; early makes the
	// child acknowledge before its exporter does. Both are for controls.
	forgetful, early bool
}

func newKilling(t *testing.T, r *rand.Rand, cycles int) *killing {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	s := newTraffic(r.Uint64N(1 << 20))
	return &killing{r: r, settings: fileAt(path), path: path, account: newAccount(&s), cycles: cycles}
}

func (k *killing) order() loadOrder {
	if k.forgetful {
		k.account.recent = nil
	}
	o := k.account.order(k.settings)
	o.AcknowledgeEarly = k.early
	if k.forgetful {
		o.Repeat = 0
	}
	return o
}

// run kills the child so many times, at random instants of its start and work,
// then lets one finish. between is called while no child lives.
func (k *killing) run(t *testing.T, between func()) {
	t.Helper()
	for range k.cycles {
		c := spawn(t, "load", k.order(), k.account.hear)
		if k.r.IntN(5) > 0 {
			c.await("ready", patience)
		}
		time.Sleep(time.Duration(k.r.Int64N(int64(200 * time.Millisecond))))
		c.kill()
		// A reader that has the file alone does the recovery that otherwise
		// the next collector does: both must happen.
		if between != nil && k.r.IntN(2) == 0 {
			between()
		}
	}
	o := k.order()
	o.Goroutines = 0
	c := spawn(t, "load", o, k.account.hear)
	c.await("again", patience)
	k.account.settle(o.Again)
	c.stop(patience)
	if between != nil {
		between()
	}
}

// lostAndTwice counts the spans of the account that the file lacks, and those
// that it counted more than once.
func (k *killing) lostAndTwice(t *testing.T) (lost, twice int64) {
	t.Helper()
	folded, distinct := counted(t, k.path)
	_, tried := k.account.spans()
	return tried - distinct, folded - distinct
}

// TestKillAtRandom: whatever was acknowledged outlives the process, and is
// counted once however often it is delivered.
func TestKillAtRandom(t *testing.T) {
	beside(t)
	size := tier()
	var cycles int
	var acked, lost, twice int64
	defer func() {
		figures.add(t, "kill -9 at random: %d cycles, %d acknowledged, %d lost, %d twice", cycles, acked, lost, twice)
	}()
	r := seedtest.Rand(t)
	for round := range size.killRounds {
		k := newKilling(t, r, size.killCycles)
		k.run(t, func() { requireBetween(t, k) })
		a, _ := k.account.spans()
		l, w := k.lostAndTwice(t)
		cycles, acked, lost, twice = cycles+k.cycles, acked+a, lost+l, twice+w
		batches := k.account.batches()
		require.Empty(t, modelOf(k.account.traffic, batches).differences(t, k.path), "round %d", round)
		require.Empty(t, problemsOf(t, k.path), "round %d", round)
		requireSameContent(t, reference(t, k.account.traffic, batches), k.path, fmt.Sprintf("round %d", round))
	}
	require.Zero(t, lost)
	require.Zero(t, twice)
	require.Positive(t, acked)
}

// requireBetween holds a file after a crash to what a counter may say: at least
// what was acknowledged, at most what was tried.
func requireBetween(t *testing.T, k *killing) {
	t.Helper()
	acked, tried := k.account.spans()
	if info, err := os.Stat(k.path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		require.Zero(t, acked, "spans were acknowledged and there is no file")
		return
	}
	if acked == 0 {
		return // perhaps not even its schema is there
	}
	folded, _ := counted(t, k.path)
	require.LessOrEqual(t, acked, folded, "acknowledged spans are lost")
	require.LessOrEqual(t, folded, tried, "spans are counted twice")
}

// TestKillWithoutDeduplicationCountsTwice is the control of "nothing twice".
func TestKillWithoutDeduplicationCountsTwice(t *testing.T) {
	beside(t)
	k := newKilling(t, seedtest.Rand(t), tier().controlCycles)
	k.settings = k.settings.withoutDeduplication()
	k.run(t, nil)
	lost, twice := k.lostAndTwice(t)
	acked, _ := k.account.spans()
	figures.add(t, "control, deduplication off: %d cycles, %d acknowledged, %d lost, %d twice", k.cycles, acked, lost, twice)
	require.Zero(t, lost)
	require.Positive(t, twice)
	require.NotEmpty(t, modelOf(k.account.traffic, k.account.batches()).differences(t, k.path), "the model notices")
}

// TestAcknowledgingEarlyLoses is the control of "nothing lost".
func TestAcknowledgingEarlyLoses(t *testing.T) {
	beside(t)
	k := newKilling(t, seedtest.Rand(t), tier().controlCycles)
	k.early, k.forgetful = true, true
	k.run(t, nil)
	lost, twice := k.lostAndTwice(t)
	acked, _ := k.account.spans()
	figures.add(t, "control, acknowledged before the commit: %d cycles, %d acknowledged, %d lost, %d twice", k.cycles, acked, lost, twice)
	require.Positive(t, lost)
	require.NotEmpty(t, modelOf(k.account.traffic, k.account.batches()).differences(t, k.path), "the model notices")
}
