package reliabilitytest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/internal/vfstest"
)

func init() { roles["life"] = dyingLife }

// lifeOrder says where in its life a child dies.
type lifeOrder struct {
	Settings settings
	// KillAt counts what changes files from 1 on, as in vfstest.Folder.KillAt.
	KillAt int
	After  bool
	// AcknowledgeEarly says "ok" before the exporter did: a control.
	AcknowledgeEarly bool
}

func (o *lifeOrder) String() string {
	when := "before"
	if o.After {
		when = "after"
	}
	return fmt.Sprintf("killed %s operation %d", when, o.KillAt)
}

// dyingLife is a child that lives the life of TestFailingWritesAndSyncs, until
// it kills itself. It says:
//
//	try N      batch N is about to be sent
//	ok N       batch N was acknowledged
//	done       it was not killed
func dyingLife(orders *orders) error {
	var o lifeOrder
	if err := orders.read(&o); err != nil {
		return err
	}
	path := o.Settings["path"].(string)
	watched, err := vfstest.Watch(filepath.Dir(path))
	if err != nil {
		return err
	}
	watched.KillAt(o.KillAt, o.After)
	all, _ := lifeTraffic()
	for start := range lifeStarts {
		if err := o.liveOnce(&all, path, start*lifeBatches); err != nil {
			return err
		}
	}
	say("done")
	return nil
}

func (o *lifeOrder) liveOnce(all *traffic, path string, first int) error {
	e, err := startExporter(o.Settings, "")
	if err != nil {
		return err
	}
	for n := first; n < first+lifeBatches; n++ {
		say("try %d", n)
		if o.AcknowledgeEarly {
			say("ok %d", n)
		}
		if err := deliver(e, smallBatch(all, n)); err != nil {
			return err
		}
		say("ok %d", n)
		if n == first+1 {
			if err := checkpoint(path, "TRUNCATE"); err != nil {
				return err
			}
		}
	}
	return e.Shutdown(context.Background())
}

// killedLife lets a child die, and recovers what it left.
func killedLife(t *testing.T, r *rand.Rand, o lifeOrder, want *expectation, into *tally) (died bool) {
	t.Helper()
	all, batches := lifeTraffic()
	folder := memoryDir(t)
	defer os.RemoveAll(folder)
	path := in(folder)
	o.Settings = o.Settings.with("path", path)
	c := crash{traffic: &all, batches: batches, want: want, settings: o.Settings, tried: map[int]bool{}}
	done := false
	child := spawn(t, "life", o, func(line string) {
		var n int
		switch {
		case line == "done":
			done = true
		case strings.HasPrefix(line, "try "):
			_, _ = fmt.Sscanf(line, "try %d", &n)
			c.tried[n] = true
		default:
			if _, err := fmt.Sscanf(line, "ok %d", &n); err == nil && !slices.Contains(c.acknowledged, n) {
				c.acknowledged = append(c.acknowledged, n)
			}
		}
	})
	<-child.ended
	child.kill()
	if done {
		require.NoError(t, child.state, child.stderr.String())
	} else {
		require.ErrorContains(t, child.state, "killed", child.stderr.String())
	}
	lost, twice, err := c.recover(r, path, into.crashes%wholeEvery == 0)
	into.add(&o, lost, twice, err)
	return !done
}

// killThroughout lets children die at one operation after the other, steps
// apart, until one lives.
func killThroughout(t *testing.T, o lifeOrder, step int, into *tally) {
	t.Helper()
	r := seedtest.Rand(t)
	all, batches := lifeTraffic()
	want := expect(t, &all, batches)
	for o.KillAt = 1 + r.IntN(step); killedLife(t, r, o, &want, into); {
		o.KillAt += 1 + r.IntN(2*step-1)
	}
}

// TestKillAtEveryOperation: a process that dies before or after any operation
// that changes a file leaves what it acknowledged, and whole batches only.
func TestKillAtEveryOperation(t *testing.T) {
	beside(t)
	step := 25
	if long() {
		step = 1
	}
	var tallies [2]tally
	t.Run("points", func(t *testing.T) {
		for i, name := range []string{"before", "after"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				killThroughout(t, lifeOrder{Settings: settings{"synchronous": "full"}, After: i == 1}, step, &tallies[i])
			})
		}
	})
	total := &tallies[0]
	total.merge(&tallies[1])
	defer figures.add(t, "killed at an operation: %d points, one in %d, %d spans lost, %d twice, %d files wrong otherwise",
		total.crashes, step, total.lost, total.twice, total.corrupt)
	total.requireClean(t)
}

// TestKillAtOperationsFindsFaults are the controls: without deduplication
// redelivery counts twice, and what was acknowledged before its commit is lost.
func TestKillAtOperationsFindsFaults(t *testing.T) {
	const step = 60
	t.Run("deduplication off", func(t *testing.T) {
		beside(t)
		var total tally
		killThroughout(t, lifeOrder{Settings: settings{"synchronous": "full"}.withoutDeduplication()}, step, &total)
		figures.add(t, "control, killed at an operation without deduplication: %d points, %d files wrong after redelivery", total.crashes, total.corrupt)
		require.Positive(t, total.corrupt)
		require.Contains(t, total.examples[0], "after redelivery there differ")
	})
	t.Run("acknowledged before the commit", func(t *testing.T) {
		beside(t)
		var total tally
		killThroughout(t, lifeOrder{Settings: settings{"synchronous": "full"}, AcknowledgeEarly: true}, step, &total)
		figures.add(t, "control, killed at an operation after an early acknowledgement: %d points, %d spans lost", total.crashes, total.lost)
		require.Positive(t, total.lost)
	})
}
