package storage

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// ErrClosed is returned for a batch that came after Close.
var ErrClosed = errors.New("store is closed")

// Batch is what one caller wants to make durable.
type Batch struct {
	// Delta is what the batch adds, folded into FinestWidths. It belongs to
	// the store until Write returns, and is not changed.
	Delta *aggregator.Delta
	// Observations are the spans of the delta, in the order they were folded.
	// The writer iterates them only where it must fold anew, before Write
	// returns.
	Observations iter.Seq[*aggregator.Observation]
	// Requests are the same spans in the same order, in full. The writer
	// iterates them, before Write returns, where rows of their own are to be
	// kept.
	Requests iter.Seq[*aggregator.Request]
}

// waiting is a batch in the queue.
type waiting struct {
	Batch
	since time.Time
	done  chan error // buffered: the writer never waits for a caller
}

// maxGroupCells bounds one commit, so that nobody waits for an endless one and
// its memory is bounded: a cell takes about 1 KiB here, and more as rows.
const maxGroupCells = 1 << 16

// queue is where batches wait for the writer. Its length is bounded by the
// callers, each of which waits with its one batch.
type queue struct {
	mu       sync.Mutex
	batches  []*waiting
	closedAt time.Time // zero: open
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

// submit queues a batch and waits for its commit. Where ctx ends first the
// batch is withdrawn, unless the writer has already taken it: then what becomes
// of it is known soon, and only then is it answered.
func (q *queue) submit(ctx context.Context, b Batch) error {
	w := &waiting{Batch: b, since: time.Now(), done: make(chan error, 1)}
	if err := ctx.Err(); err != nil {
		return err
	}
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
		if q.withdraw(w) {
			return ctx.Err()
		}
		return <-w.done
	}
}

func (q *queue) withdraw(w *waiting) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.batches, w)
	if i < 0 {
		return false
	}
	q.batches = slices.Delete(q.batches, i, i+1)
	return true
}

// take waits for batches and returns those that are to be committed together,
// in the order they came; false once the queue is closed and empty.
func (q *queue) take() ([]*waiting, bool) {
	for {
		q.mu.Lock()
		n, cells := 0, 0
		for n < len(q.batches) && (n == 0 || cells < maxGroupCells) {
			d := q.batches[n].Delta
			cells += len(d.SeriesCells()) + len(d.HeadlineCells())
			n++
		}
		group := slices.Clone(q.batches[:n])
		q.batches = slices.Delete(q.batches, 0, n)
		closed := !q.closedAt.IsZero()
		q.mu.Unlock()
		if n > 0 || closed {
			return group, n > 0
		}
		<-q.ready
	}
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
