package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// Letter is a batch, or a part of one, that cannot be folded. It belongs to the
// store until WriteLetters returns.
type Letter struct {
	Failure  Failure
	Error    string // why
	Attempts int64  // to store it
	Spans    int
	// Fingerprints returns one of every span, 0 for a span that is always
	// counted, with the key of a basis.
	Fingerprints func(Basis) []uint64
	// Payload returns the spans whose index is not in the set, as OTLP without
	// content attributes.
	Payload func(without func(span int) bool) []byte
	// BatchKey is that of CountAttempt; 0: it was not called.
	BatchKey int64
}

// WriteLetters makes dead letters durable, all in one commit. Spans of them that
// are in the file already are counted as duplicates. Errors are those of Write.
func (s *Store) WriteLetters(ctx context.Context, letters []*Letter) error {
	return s.do(ctx, func(ctx context.Context, w *writer) error {
		for _, l := range letters {
			if err := w.addLetter(ctx, l); err != nil {
				return err
			}
		}
		return nil
	})
}

// do runs a task in a transaction of the writer.
func (s *Store) do(ctx context.Context, task func(context.Context, *writer) error) error {
	return s.writer.queue.submit(ctx, &waiting{task: task})
}

func (w *writer) addLetter(ctx context.Context, l *Letter) error {
	if l.BatchKey != 0 {
		if err := w.exec(ctx, "DELETE FROM failed_batch WHERE batch_key = ?", l.BatchKey); err != nil {
			return fmt.Errorf("delete failed_batch: %w", err)
		}
	}
	var known spanSet
	duplicates := 0
	if w.options.dedups() {
		known, duplicates = w.fingerprints.probe(l.Fingerprints(*w.basis.Load()))
	}
	w.pending.ledger["duplicate"] += int64(duplicates)
	spans := int64(l.Spans - duplicates)
	if spans == 0 {
		return nil
	}
	w.pending.ledger["dead_letter"] += spans
	const insert = `INSERT INTO dead_letter (first_ns, last_ns, attempts, reason, error, spans, payload)
		VALUES (?1, ?1, ?2, ?3, ?4, ?5, ?6)`
	now := w.options.Now().UnixNano()
	err := w.exec(ctx, insert, now, l.Attempts, l.Failure.String(), shortError(l.Error), spans, l.Payload(known.has))
	if err != nil {
		return fmt.Errorf("write dead_letter: %w", err)
	}
	return w.evictLetters(ctx)
}

// maxErrorBytes bounds the error that is kept of a dead letter.
const maxErrorBytes = 1024

// shortError returns the beginning of an error, as valid UTF-8.
func shortError(text string) string {
	if len(text) > maxErrorBytes {
		text = text[:maxErrorBytes]
	}
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "")
}

// evictLetters deletes the oldest letters that are too many. Their spans are
// counted.
func (w *writer) evictLetters(ctx context.Context) error {
	const surplus = "FROM dead_letter WHERE id NOT IN (SELECT id FROM dead_letter ORDER BY id DESC LIMIT ?)"
	var spans int64
	if err := w.scanOne(ctx, &spans, "SELECT coalesce(sum(spans), 0) "+surplus, w.options.MaxLetters); err != nil {
		return fmt.Errorf("read dead_letter: %w", err)
	}
	if spans == 0 {
		return nil
	}
	w.pending.note("dead_letter_purged", spans)
	if err := w.exec(ctx, "DELETE "+surplus, w.options.MaxLetters); err != nil {
		return fmt.Errorf("delete dead_letter: %w", err)
	}
	return nil
}

// CountAttempt counts a failed attempt to store a batch, and returns how many
// there have been. The key tells batches apart. A batch that is written later
// need not be taken out: what was not tried again for long makes room.
func (s *Store) CountAttempt(ctx context.Context, batchKey int64) (attempts int64, err error) {
	err = s.do(ctx, func(ctx context.Context, w *writer) error {
		attempts, err = w.countAttempt(ctx, batchKey)
		return err
	})
	return attempts, err
}

// maxFailedBatches bounds the batches whose attempts are counted.
const maxFailedBatches = 10_000

func (w *writer) countAttempt(ctx context.Context, batchKey int64) (attempts int64, err error) {
	const count = `INSERT INTO failed_batch (batch_key, first_ns, last_ns, attempts) VALUES (?1, ?2, ?2, 1)
		ON CONFLICT (batch_key) DO UPDATE SET last_ns = max(last_ns, excluded.last_ns), attempts = attempts + 1 RETURNING attempts`
	if err := w.scanOne(ctx, &attempts, count, batchKey, w.options.Now().UnixNano()); err != nil {
		return 0, fmt.Errorf("write failed_batch: %w", err)
	}
	const trim = `DELETE FROM failed_batch WHERE batch_key <> ?1
		AND batch_key NOT IN (SELECT batch_key FROM failed_batch ORDER BY last_ns DESC, batch_key LIMIT ?2)`
	if err := w.exec(ctx, trim, batchKey, maxFailedBatches); err != nil {
		return 0, fmt.Errorf("delete failed_batch: %w", err)
	}
	return attempts, nil
}

// DueLetter is a dead letter that is to be tried again.
type DueLetter struct {
	ID       int64
	Attempts int64
	Payload  []byte
}

// NextDueLetter returns the oldest letter that is to be tried again after the
// given one, false where there is none.
func (s *Store) NextDueLetter(ctx context.Context, after int64) (l DueLetter, found bool, err error) {
	err = s.do(ctx, func(ctx context.Context, w *writer) error {
		l, found = DueLetter{}, false
		row := w.conn.QueryRowContext(ctx,
			"SELECT id, attempts, payload FROM dead_letter WHERE due = 1 AND id > ? ORDER BY id LIMIT 1", after)
		switch err := row.Scan(&l.ID, &l.Attempts, &l.Payload); {
		case errors.Is(err, sql.ErrNoRows):
			return w.loadDue(ctx)
		case err != nil:
			return fmt.Errorf("read dead_letter: %w", err)
		}
		found = true
		return nil
	})
	return l, found, err
}

// WriteAgain folds the spans of a dead letter, and removes it. A letter that is
// gone, or no longer to be tried, is left alone; so is another one with its id, in
// a file that took the place of the one it was read from.
func (s *Store) WriteAgain(ctx context.Context, l *DueLetter, b Batch) error {
	return s.do(ctx, func(ctx context.Context, w *writer) error {
		var spans int64
		err := w.scanOne(ctx, &spans, "DELETE FROM dead_letter WHERE id = ? AND payload = ? AND due = 1 RETURNING spans", l.ID, l.Payload)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("delete dead_letter: %w", err)
		}
		w.pending.ledger["dead_letter"] -= spans
		if basis := *w.basis.Load(); b.Refold != nil && b.Basis != basis {
			b = b.Refold(basis)
		}
		// Its fingerprints have been in the window since it became a letter.
		return w.applyBatch(ctx, &b)
	})
}

// FailedAgain counts one more attempt at a dead letter, which waits again until
// somebody asks for the next.
func (s *Store) FailedAgain(ctx context.Context, l *DueLetter, failure Failure, reason string) error {
	return s.do(ctx, func(ctx context.Context, w *writer) error {
		const update = `UPDATE dead_letter SET due = 0, attempts = attempts + 1, last_ns = max(last_ns, ?), reason = ?, error = ?
			WHERE id = ? AND payload = ?`
		err := w.exec(ctx, update, w.options.Now().UnixNano(), failure.String(), shortError(reason), l.ID, l.Payload)
		if err != nil {
			return fmt.Errorf("write dead_letter: %w", err)
		}
		return nil
	})
}

// loadDue reads whether dead letters are to be tried again.
func (w *writer) loadDue(ctx context.Context) error {
	err := w.conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM dead_letter WHERE due = 1)").Scan(&w.lettersDue)
	if err != nil {
		return fmt.Errorf("dead_letter: %w", err)
	}
	return nil
}
