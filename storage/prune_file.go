package storage

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

const (
	// aloneSlice is how long a transaction goes on where no collector writes.
	aloneSlice = 200 * time.Millisecond
	// askPause is how often a collector that was asked to prune is looked at.
	askPause = 100 * time.Millisecond
	// keyPruneRequest is what a collector is asked for in meta.
	keyPruneRequest = "prune_request"
)

// PruneResult says what has left, and what the file took before and takes now:
// bytes without its free pages.
type PruneResult struct {
	Left          []PrunedRows
	Before, After int64
	// Over: the file takes more than it may, and nothing more could leave.
	Over bool
}

// Rows returns how many rows have left.
func (r *PruneResult) Rows() (n int64) {
	for _, p := range r.Left {
		n += p.Rows
	}
	return n
}

// PruneFile removes from the file at path what is over the bounds, in short
// transactions, as a collector with such bounds would. Age counts from now. A
// collector that has the file open is asked to do it between those of its
// clients, and waited for. onProgress, which may be nil, is told now and then
// what has left. Where ctx ends, what has left stays away. Errors are those of
// PurgeRun.
func PruneFile(ctx context.Context, path string, b PruneBounds, now func() time.Time, onProgress func(PruneResult)) (r PruneResult, err error) {
	s, err := openUpkeep(ctx, path)
	if err != nil {
		return r, fmt.Errorf("prune: %w", err)
	}
	defer func() { err = errors.Join(err, s.close()) }()
	f := &filePruning{session: s, bounds: b, now: now, onProgress: onProgress}
	if err := f.run(ctx); err != nil {
		return f.result, fmt.Errorf("prune: %w", err)
	}
	return f.result, nil
}

// filePruning is one run of PruneFile.
type filePruning struct {
	session    *upkeepSession
	bounds     PruneBounds
	now        func() time.Time
	onProgress func(PruneResult)
	before     []PrunedRows
	result     PruneResult
}

func (f *filePruning) run(ctx context.Context) error {
	id, err := readIdentity(ctx, f.session.conn)
	if err == nil {
		err = id.checkPresent()
	}
	if err != nil {
		return err
	}
	if f.before, err = ReadPruned(ctx, f.session.conn, SchemaVersion); err != nil {
		return err
	}
	size, err := readFileSize(ctx, f.session.conn)
	if err != nil {
		return err
	}
	f.result.Before = size.used()
	for done := false; !done; {
		if held, _ := Held(f.session.path); held {
			done, err = f.ask(ctx)
		} else {
			done, err = f.alone(ctx)
		}
		if err != nil {
			return errors.Join(err, f.look(context.WithoutCancel(ctx)))
		}
	}
	return f.look(ctx)
}

// look notes what has left since the beginning.
func (f *filePruning) look(ctx context.Context) error {
	now, err := ReadPruned(ctx, f.session.conn, SchemaVersion)
	if err != nil {
		return err
	}
	size, err := readFileSize(ctx, f.session.conn)
	if err != nil {
		return err
	}
	f.result.After, f.result.Left = size.used(), nil
	f.result.Over = f.bounds.Bytes > 0 && f.result.After > f.bounds.Bytes
	for _, p := range now {
		for _, b := range f.before {
			if b.Relation == p.Relation && b.WidthS == p.WidthS {
				p.Rows -= b.Rows
			}
		}
		if p.Rows > 0 {
			f.result.Left = append(f.result.Left, p)
		}
	}
	if f.onProgress != nil {
		f.onProgress(f.result)
	}
	return nil
}

// alone prunes until nothing is left to do, or a collector opens the file.
func (f *filePruning) alone(ctx context.Context) (done bool, err error) {
	p := newPruner(f.bounds)
	p.sliceTime = aloneSlice
	for {
		if held, _ := Held(f.session.path); held {
			return false, nil
		}
		if err := p.load(ctx, f.session.conn); err != nil {
			return false, err
		}
		if done, err = p.next(ctx, f.session.conn, f.now().Unix()); err != nil {
			return false, err
		}
		if done {
			return true, f.giveBack(ctx)
		}
		if err := f.session.transact(ctx, func(ctx context.Context, u *upkeep) error { return u.prune(ctx, p) }); err != nil {
			return false, err
		}
		if err := f.look(ctx); err != nil {
			return false, err
		}
	}
}

// prune is one slice.
func (u *upkeep) prune(ctx context.Context, p *pruner) error {
	t := &pruneTx{conn: u.conn, pruner: p, now: time.Now().Unix(), version: u.version}
	if err := p.load(ctx, u.conn); err != nil {
		return err
	}
	if err := p.slice(ctx, t); err != nil {
		return err
	}
	u.changed += t.changed
	u.note("purged", t.purged)
	if len(t.runs) > 0 {
		return u.describeHeadline(ctx)
	}
	return nil
}

// giveBack gives free pages back to the file system.
func (f *filePruning) giveBack(ctx context.Context) error {
	for {
		free, err := pagesToFree(ctx, f.session.conn)
		if err != nil || free == 0 {
			return err
		}
		const pages = 4096
		if err := vacuum(ctx, f.session.conn, min(free, pages)); err != nil {
			return err
		}
		if left, err := pagesToFree(ctx, f.session.conn); err != nil || left >= free {
			return err
		}
	}
}

// ask has the collector that writes the file prune it. done is false where the
// collector goes away before.
func (f *filePruning) ask(ctx context.Context) (done bool, err error) {
	text, err := f.bounds.text(rand.Text())
	if err != nil {
		return false, err
	}
	err = f.session.transact(ctx, func(ctx context.Context, u *upkeep) error {
		_, err := u.exec(ctx, upsertMeta, keyPruneRequest, text)
		return err
	})
	if err != nil {
		return false, err
	}
	pause := time.NewTicker(askPause)
	defer pause.Stop()
	for {
		waits, err := f.waits(ctx, text)
		if err == nil && !waits {
			return true, nil
		}
		held, _ := Held(f.session.path)
		if err == nil && held {
			err = f.look(ctx)
		}
		if err != nil || !held {
			return false, errors.Join(err, f.withdraw(context.WithoutCancel(ctx), text))
		}
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
	}
}

// waits tells whether the request is still there.
func (f *filePruning) waits(ctx context.Context, text string) (waits bool, err error) {
	const query = "SELECT EXISTS (SELECT 1 FROM meta WHERE key = ? AND value = ?)"
	err = f.session.conn.QueryRowContext(ctx, query, keyPruneRequest, text).Scan(&waits)
	return waits, err
}

func (f *filePruning) withdraw(ctx context.Context, text string) error {
	return f.session.transact(ctx, func(ctx context.Context, u *upkeep) error {
		_, err := u.exec(ctx, "DELETE FROM meta WHERE key = ? AND value = ?", keyPruneRequest, text)
		return err
	})
}

// loadPruneRequest reads whether somebody asks for other bounds for once.
func (w *writer) loadPruneRequest(ctx context.Context) error {
	var text string
	err := w.conn.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", keyPruneRequest).Scan(&text)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("meta %s: %w", keyPruneRequest, err)
	}
	if text == w.upkeep.request {
		return nil
	}
	w.upkeep.request = text
	bounds := boundsOf(w.options)
	if text != "" {
		// What nobody can read is answered by pruning as configured.
		if b, err := parseBounds(text, w.options.Widths); err == nil {
			bounds = b
		}
		w.upkeep.due = time.Time{}
	}
	w.pruner.begin(bounds)
	return nil
}

// begin begins a new round with other bounds.
func (p *pruner) begin(b PruneBounds) {
	p.bounds, p.stage, p.tasks, p.sweeps = b, 0, nil, sweeps{}
}

// answerRequest says that what was asked for is done.
func (w *writer) answerRequest(ctx context.Context) error {
	if w.upkeep.request == "" {
		return nil
	}
	if err := w.begin(ctx, true); err != nil {
		return err
	}
	err := recovered(func() error {
		if err := w.exec(ctx, "DELETE FROM meta WHERE key = ? AND value = ?", keyPruneRequest, w.upkeep.request); err != nil {
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
	w.upkeep.request = ""
	w.pruner.begin(boundsOf(w.options))
	return nil
}
