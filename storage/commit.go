package storage

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// run commits what waits until the queue is closed and empty.
func (w *writer) run() {
	// Transactions have a context of their own: a caller who gives up must not
	// undo what others wait for.
	ctx := context.Background()
	for {
		most := idleInterval
		if w.upkeep.active {
			most = 0
		}
		work, open := w.queue.wait(most)
		switch {
		case !open:
			w.upkeep.askers = append(w.upkeep.askers, w.queue.takeAskers()...)
			w.endRound(ErrClosed, false)
			return
		case work:
			w.turn(ctx)
			w.tellOfLetters()
		case time.Since(w.idled) >= idleInterval:
			w.idle(ctx)
			w.idled = time.Now()
		}
		w.tidy(ctx, work)
	}
}

// turn commits the next group. The group is taken only once a transaction has
// begun: until then callers can withdraw.
func (w *writer) turn(ctx context.Context) {
	if err := w.begin(ctx, true); err != nil {
		answer(w.queue.takeAll(), fmt.Errorf("commit: %w", err))
		return
	}
	group := w.queue.take()
	if len(group) == 0 {
		w.abort(ctx)
		return
	}
	if group[0].check { // it is alone
		answer(group, w.checkBatch(ctx, group))
		return
	}
	err := w.commitGroup(ctx, group)
	if len(group) > 1 && isOfBatch(err) {
		// For what one of them holds the others must not suffer.
		w.queue.putBack(group)
		return
	}
	answer(group, err)
	// Only now: nobody has to wait for housekeeping.
	if err == nil {
		w.shrink()
		w.tend(w.file.afterCommit(ctx))
	}
}

// checkBatch does everything for a batch but the COMMIT.
func (w *writer) checkBatch(ctx context.Context, group []*waiting) error {
	if err := recovered(func() error { return w.fill(ctx, group) }); err != nil {
		return fmt.Errorf("check: %w", w.undo(ctx, &batchError{err}))
	}
	w.forgetTransaction(ctx)
	return nil
}

func answer(group []*waiting, err error) {
	for _, b := range group {
		b.done <- err
	}
}

// commitGroup makes a group durable in the transaction that has begun.
func (w *writer) commitGroup(ctx context.Context, group []*waiting) error {
	began := time.Now()
	err := recovered(func() error { return w.fill(ctx, group) })
	if err == nil {
		err = w.exec(ctx, "COMMIT")
	}
	if err != nil {
		return fmt.Errorf("commit: %w", w.undo(ctx, &batchError{err}))
	}
	if err := w.file.check(); err != nil {
		return fmt.Errorf("commit: %w", errors.Join(err, w.disconnect()))
	}
	w.fingerprints.committed()
	if w.options.OnCommit != nil {
		c := Commit{
			Duration: time.Since(began), Spans: w.pending.ledger, LiveSeries: w.registry.LiveSeries(),
			Remembered: w.fingerprints.window.Len(), Reach: w.reach(),
		}
		for _, b := range group {
			c.QueueWaits = append(c.QueueWaits, began.Sub(b.since))
		}
		w.options.OnCommit(c)
	}
	return nil
}

// fill writes what a group adds.
func (w *writer) fill(ctx context.Context, group []*waiting) error {
	if err := w.apply(ctx, w.admit(group)); err != nil {
		return err
	}
	for _, t := range group {
		for _, l := range t.Letters {
			if err := w.addLetter(ctx, l); err != nil {
				return err
			}
		}
		if t.task == nil {
			continue
		}
		if err := t.task(ctx, w); err != nil {
			return err
		}
	}
	w.queue.allRead(group)
	return w.flush(ctx)
}

// recovered calls f, and returns a panic of it as a PanicError.
func recovered(f func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	return f()
}

// isOfBatch tells whether a group failed for what a batch of it holds.
func isOfBatch(err error) bool {
	if err == nil {
		return false
	}
	f := FailureOf(err)
	return f == FailurePoison || f == FailureUnknown
}
