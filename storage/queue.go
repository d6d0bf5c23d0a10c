package storage

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrClosed is returned for a batch that came after Close.
var ErrClosed = errors.New("store is closed")

// waiting is what a caller wants the writer to do in a transaction: to make a
// batch durable or, where it is set, a task.
type waiting struct {
	Batch
	task  func(context.Context, *writer) error
	check bool // only tell whether the batch could be committed
	since time.Time
	done  chan error    // buffered: the writer never waits for a caller
	free  chan struct{} // closed when the caller may leave: see stage

	// Guarded by the mutex of the queue.
	stage   stage
	alone   bool // not to be taken together with others
	leaving bool // the caller's context has ended
	left    bool // the caller has gone; nobody reads done, and Batch is not to be touched
}

// stage says how far the writer is with what waits.
type stage uint8

// What waits in the queue can be withdrawn. While the writer reads the batch,
// its caller has to stay: the batch is the caller's. Once it is read the caller
// may go, not knowing what becomes of it.
const (
	stageQueued stage = iota
	stageTaken
	stageRead
)

// maxGroupCells bounds one commit, so that nobody waits for an endless one and
// its memory is bounded: a cell takes about 1 KiB here, and more as rows.
const maxGroupCells = 1 << 16

// queue is where batches wait for the writer. Its length is bounded by the
// callers, each of which waits with its one batch.
type queue struct {
	mu       sync.Mutex
	batches  []*waiting
	askers   []chan error // who wait for a round of pruning
	closedAt time.Time    // zero: open
	// ready has room for one token, which says that batches or closedAt
	// changed.
	ready chan struct{}
}

func newQueue() *queue { return &queue{ready: make(chan struct{}, 1)} }

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// submit queues what is to be done and waits until it is durable. Where ctx
// ends first it is withdrawn; where the writer was quicker, it is not known
// whether it will be done.
func (q *queue) submit(ctx context.Context, w *waiting) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.since, w.done, w.free = time.Now(), make(chan error, 1), make(chan struct{})
	q.mu.Lock()
	if !q.closedAt.IsZero() {
		q.mu.Unlock()
		return ErrClosed
	}
	q.batches = append(q.batches, w)
	q.mu.Unlock()
	q.signal()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
	}
	q.leave(w)
	select {
	case err := <-w.done:
		return err
	case <-w.free:
		return ctx.Err()
	}
}

// leave withdraws what waits, or asks the writer to let its caller go.
func (q *queue) leave(w *waiting) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch w.stage {
	case stageQueued:
		i := slices.Index(q.batches, w)
		q.batches = slices.Delete(q.batches, i, i+1)
		w.left = true
	case stageTaken:
		w.leaving = true
		return
	case stageRead:
		w.left = true
	}
	close(w.free)
}

// allRead says that the writer has read the batches of a group: their callers
// may leave.
func (q *queue) allRead(group []*waiting) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range group {
		w.stage = stageRead
		if w.leaving && !w.left {
			w.left = true
			close(w.free)
		}
	}
}

// putBack puts a group in front of the others, to be taken one by one: one of
// them made it fail. Those whose callers have left, or want to, are gone.
func (q *queue) putBack(group []*waiting) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var stayed []*waiting
	for _, w := range group {
		switch {
		case w.left:
		case w.leaving:
			w.left = true
			close(w.free)
		default:
			w.stage, w.alone = stageQueued, true
			stayed = append(stayed, w)
		}
	}
	q.batches = append(stayed, q.batches...)
	q.signal()
}

// wait waits until something is to be done, at most so long. open is false once
// the queue is closed and empty.
func (q *queue) wait(most time.Duration) (work, open bool) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		q.mu.Lock()
		work, open = len(q.batches) > 0, q.closedAt.IsZero()
		asked := len(q.askers) > 0
		q.mu.Unlock()
		if work || !open || asked {
			return work, open || work
		}
		select {
		case <-q.ready:
		case <-timer.C:
			return false, true
		}
	}
}

// ask queues somebody who waits for a round of pruning. done must have room for
// an answer.
func (q *queue) ask(done chan error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closedAt.IsZero() {
		return ErrClosed
	}
	q.askers = append(q.askers, done)
	q.signal()
	return nil
}

// takeAskers returns those who wait for a round of pruning.
func (q *queue) takeAskers() []chan error {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.askers
	q.askers = nil
	return all
}

// waits tells whether somebody waits for a commit.
func (q *queue) waits() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.batches) > 0
}

// take returns what is to be committed together, in the order it came; nothing
// where every caller has withdrawn.
func (q *queue) take() []*waiting {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, cells := 0, 0
	for n < len(q.batches) && (n == 0 || cells < maxGroupCells && !q.batches[n].alone && !q.batches[0].alone) {
		if d := q.batches[n].Delta; d != nil {
			cells += len(d.SeriesCells()) + len(d.HeadlineCells())
		}
		q.batches[n].stage = stageTaken
		n++
	}
	group := slices.Clone(q.batches[:n])
	q.batches = slices.Delete(q.batches, 0, n)
	return group
}

// takeAll returns everything that waits.
func (q *queue) takeAll() []*waiting {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.batches
	q.batches = nil
	for _, w := range all {
		w.stage = stageTaken
	}
	return all
}

func (q *queue) close() {
	q.mu.Lock()
	q.closedAt = time.Now()
	q.mu.Unlock()
	q.signal()
}

// patience is how much longer a transaction that began at the given instant
// may wait for a lock: lockPatience, and after close the same for all that is
// still waiting, so that closing takes no longer than that.
func (q *queue) patience(began time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closedAt.IsZero() && q.closedAt.Before(began) {
		began = q.closedAt
	}
	return time.Until(began.Add(lockPatience))
}
