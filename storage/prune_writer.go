package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// pruneInterval is how often the writer looks for what is over its bound.
	pruneInterval = 10 * time.Second
	// pruneBreath is how long callers who wait have the writer to themselves
	// between two slices.
	pruneBreath = 40 * time.Millisecond
	// checkpointEvery is after how many slices that deleted the log is moved
	// into the file, which a caller's COMMIT would have to do else.
	checkpointEvery = 8
)

// upkeepState is how far the writer is with pruning.
type upkeepState struct {
	active  bool // a round goes on
	due     time.Time
	ended   time.Time // of the last slice
	pages   int64     // that the next slice gives back
	slices  int       // since the log was moved
	askers  []chan error
	wasOver bool
	failed  int    // rounds in a row
	request string // in meta, for other bounds; empty for none
}

// Prune removes what is over its bound, as the writer does by itself now and
// then, and returns once that is done. Callers of Write go first. It returns
// ErrClosed where the Store is closed meanwhile.
func (s *Store) Prune(ctx context.Context) error {
	done := make(chan error, 1)
	if err := s.writer.queue.ask(done); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tidy does a slice of pruning where that is due. busy: callers may be waiting.
func (w *writer) tidy(ctx context.Context, busy bool) {
	u := &w.upkeep
	if !u.active {
		u.askers = append(u.askers, w.queue.takeAskers()...)
		if len(u.askers) == 0 && u.request == "" && (w.options.PruneInterval < 0 || time.Now().Before(u.due)) {
			return
		}
		if u.active = true; len(u.askers) > 0 && w.pruner != nil {
			w.pruner.sweeps = sweeps{}
		}
	}
	if busy && time.Since(u.ended) < pruneBreath && w.queue.waits() {
		return
	}
	more, err := w.tidySlice(ctx)
	u.ended = time.Now()
	if more && err == nil {
		return
	}
	requested := u.request != ""
	if err == nil {
		err = w.answerRequest(ctx)
	}
	w.endRound(err, requested)
}

// endRound is where a round has done all it can, or failed; requested: not with
// the bounds that are configured.
func (w *writer) endRound(err error, requested bool) {
	u := &w.upkeep
	u.active, u.due = false, time.Now().Add(w.options.PruneInterval)
	for _, asker := range u.askers {
		asker <- err
	}
	u.askers = nil
	w.countFailedRounds(err)
	if w.pruner != nil && err == nil && !requested && w.pruner.over != u.wasOver {
		u.wasOver = w.pruner.over
		w.file.report(w.sizeEvent(u.wasOver))
	}
}

// failedRounds is after how many rounds in a row that failed the owner hears of
// it: one may fail for what is over the next time.
const failedRounds = 3

func (w *writer) countFailedRounds(err error) {
	u := &w.upkeep
	switch {
	case err == nil:
		if u.failed >= failedRounds {
			w.file.report(Event{Kind: EventPruneRecovered, Path: w.options.Path, Bytes: sizeOf(w.options.Path)})
		}
		u.failed = 0
	case isBusy(err) || errors.Is(err, errLogPinned) || errors.Is(err, ErrClosed): // others tell of these
	default:
		if u.failed++; u.failed == failedRounds {
			w.file.report(Event{Kind: EventPruneFailed, Path: w.options.Path, Bytes: sizeOf(w.options.Path), Err: err})
		}
	}
}

func (w *writer) sizeEvent(over bool) Event {
	file, _ := sizeOf(w.options.Path), 0
	if !over {
		return Event{Kind: EventFits, Path: w.options.Path, Bytes: file}
	}
	return Event{Kind: EventOverSize, Path: w.options.Path, Bytes: file, Err: fmt.Errorf(
		"the file takes more than max_size, %d bytes, with nothing left that may go: pinned runs, the newest buckets and what counts them stay",
		w.options.MaxSize)}
}

// errLogPinned ends a round: while a reader holds a snapshot, whatever leaves
// makes the log longer and the file no smaller.
var errLogPinned = errors.New("a reader keeps the log from being emptied, so nothing more leaves for now")

// tidySlice does what one slice of time is enough for. Nobody depends on it:
// where it fails the next round tries again.
func (w *writer) tidySlice(ctx context.Context) (more bool, err error) {
	logged := false
	err = recovered(func() error {
		if err := w.connected(ctx); err != nil {
			return err
		}
		if logged = w.upkeep.slices >= checkpointEvery || w.file.log.pinned; logged {
			return w.keepLogSmall(ctx)
		}
		var done bool
		done, err := w.pruner.next(ctx, w.conn, w.options.Now().Unix())
		if err != nil || !done {
			more = err == nil
			return err
		}
		more, err = w.giveBack(ctx)
		return err
	})
	if err != nil {
		w.tend(err)
		return false, err
	}
	switch {
	case logged && w.file.log.pinned:
		return false, errLogPinned
	case logged:
		return true, nil
	case len(w.pruner.tasks) == 0:
		return more, nil
	}
	return true, w.pruneSlice(ctx)
}

// pruneSlice is one transaction that prunes.
func (w *writer) pruneSlice(ctx context.Context) (err error) {
	if w.pruner.tasks[0].unreferenced() {
		if err := w.exec(ctx, "PRAGMA foreign_keys = OFF"); err != nil {
			return err
		}
		defer func() {
			if w.conn != nil {
				w.tend(w.exec(ctx, "PRAGMA foreign_keys = ON"))
			}
		}()
	}
	if err := w.begin(ctx, false); err != nil {
		return err
	}
	t := &pruneTx{conn: w.conn, pruner: w.pruner, now: w.now, version: w.version}
	err = recovered(func() error {
		if err := w.pruner.slice(ctx, t); err != nil || t.changed == 0 {
			return err
		}
		w.pending.note("purged", t.purged)
		if err := w.forgetPruned(ctx, t); err != nil {
			return err
		}
		if err := w.flushLedger(ctx); err != nil {
			return err
		}
		if err := w.flushMeta(ctx); err != nil {
			return err
		}
		return w.exec(ctx, "COMMIT")
	})
	if err != nil {
		return w.undo(ctx, err)
	}
	if t.changed == 0 {
		w.abort(ctx)
		return nil
	}
	if err := w.file.check(); err != nil {
		return errors.Join(err, w.disconnect())
	}
	w.upkeep.slices++
	return nil
}

// forgetPruned forgets what a transaction removed. Where it fails, memory is
// read again.
func (w *writer) forgetPruned(ctx context.Context, t *pruneTx) error {
	for r, through := range t.buckets {
		w.live.forget(r, through)
	}
	for _, id := range t.series {
		w.forgetSeries(id)
	}
	for _, run := range t.runs {
		w.registry.RemoveRun(run)
	}
	if t.profiles {
		w.profiles = newProfiles()
	}
	if t.chosen {
		w.strata = newStrata()
	}
	if len(t.runs) == 0 {
		return nil
	}
	clear(w.knownFacts)
	clear(w.seen)
	return w.loadCategories(ctx)
}

// keepLogSmall moves the log into the file now and then: whoever commits the
// page too many has to do it else. It is a slice of its own, for it may take as
// long.
func (w *writer) keepLogSmall(ctx context.Context) error {
	w.upkeep.slices = 0
	if err := w.file.log.afterCommit(ctx, w.conn, sizeOf(w.file.log.path)); err != nil {
		return err
	}
	_, err := runCheckpoint(ctx, w.conn, checkpointPassive)
	return err
}

// giveBack gives some free pages back to the file system.
func (w *writer) giveBack(ctx context.Context) (more bool, err error) {
	free, err := pagesToFree(ctx, w.conn)
	if err != nil || free == 0 {
		return false, err
	}
	u := &w.upkeep
	u.pages = max(u.pages, vacuumPages)
	began := time.Now()
	if err := vacuum(ctx, w.conn, min(u.pages, free)); err != nil {
		if isBusy(err) {
			err = nil
		}
		return false, err
	}
	left, err := pagesToFree(ctx, w.conn)
	if err != nil || left >= free {
		return false, err
	}
	if took := time.Since(began); took < pruneSlice/2 {
		u.pages *= 2
	} else if took > pruneSlice {
		u.pages /= 2
	}
	u.slices++
	return true, nil
}
