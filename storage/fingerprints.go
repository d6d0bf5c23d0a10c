package storage

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/dedup"
)

const (
	fingerprintBytes = 8
	// fingerprintsPerRow fill one page of 4,096 bytes.
	fingerprintsPerRow = 504
	// maxRowAgeSeconds is how long a row grows: rows expire as a whole.
	maxRowAgeSeconds = 60
	// warmedAtOnce is how many fingerprints are looked up together.
	warmedAtOnce = 64
	// minRowsExpired is how many old rows a commit may always expire. What is
	// over goes with the next ones, so that none takes long.
	minRowsExpired = 64
)

// fingerprints is the deduplication window as the writer remembers it. It
// equals the table fingerprint, but for what the present transaction adds.
type fingerprints struct {
	window dedup.Window
	rows   []fingerprintRow // without content, in the order of arrival
	newest []byte           // content of the last row
	loaded bool

	expired []uint64 // by the present transaction; they leave window with its commit
}

type fingerprintRow struct {
	id, firstArrival, lastArrival int64 // Unix seconds
	spans                         int
}

// forget is for a window that will be read again, in the same memory.
func (f *fingerprints) forget() {
	f.window.Clear()
	f.rows, f.newest, f.loaded, f.expired = nil, nil, false, nil
}

// committed makes what the transaction changed last.
func (f *fingerprints) committed() {
	f.window.Commit()
	for some := range slices.Chunk(f.expired, warmedAtOnce) {
		f.window.Warm(some)
		for _, fingerprint := range some {
			f.window.Remove(fingerprint)
		}
	}
	f.expired = f.expired[:0]
}

// rollback takes back what the transaction changed, but for the rows: those
// are read again.
func (f *fingerprints) rollback() {
	f.window.Rollback()
	f.rows, f.newest, f.expired = nil, nil, f.expired[:0]
}

// probe adds fingerprints to the window and returns which were in it already,
// and how many.
func (f *fingerprints) probe(all []uint64) (known spanSet, n int) {
	for from := 0; from < len(all); from += warmedAtOnce {
		some := all[from:min(from+warmedAtOnce, len(all))]
		f.window.Warm(some)
		for i, fingerprint := range some {
			if f.window.Add(fingerprint) {
				continue
			}
			if known == nil {
				known = make(spanSet, len(all))
			}
			known[from+i] = true
			n++
		}
	}
	return known, n
}

func (o *Options) dedups() bool { return o.DedupMaxSpans > 0 && o.DedupWindow > 0 }

// admit returns the batches of a group, each folded on the basis of the file
// and without the spans that are in it already, or in a batch before. Tasks are
// left out.
func (w *writer) admit(group []*waiting) []*Batch {
	batches := make([]*Batch, 0, len(group))
	refolded := 0
	for _, b := range group {
		if b.task != nil {
			continue
		}
		batch := &b.Batch
		if basis := *w.basis.Load(); batch.Refold != nil && batch.Basis != basis {
			again := batch.Refold(basis)
			batch = &again
		}
		if w.options.dedups() {
			if known, n := w.fingerprints.probe(batch.Fingerprints); n > 0 {
				rest := batch.without(known, w.refold(refolded))
				batch = &rest
				refolded++
				w.pending.ledger["duplicate"] += int64(n)
			}
		}
		batches = append(batches, batch)
	}
	return batches
}

// refold returns the nth delta for batches without their duplicates.
func (w *writer) refold(n int) *aggregator.Delta {
	if n == len(w.refolds) {
		w.refolds = append(w.refolds, w.newDelta())
	}
	return w.refolds[n]
}

// flushFingerprints writes those of the transaction behind the others, and
// deletes the ones that leave the window.
func (w *writer) flushFingerprints(ctx context.Context) error {
	const upsert = `INSERT INTO fingerprint (id, first_arrival_s, last_arrival_s, fingerprints) VALUES (?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET last_arrival_s = excluded.last_arrival_s, fingerprints = excluded.fingerprints`
	f := &w.fingerprints
	written := 0
	for pending := f.window.Pending(); len(pending) > 0; written++ {
		row := f.growing(w.now)
		n := min(len(pending), fingerprintsPerRow-row.spans)
		for _, fingerprint := range pending[:n] {
			f.newest = binary.BigEndian.AppendUint64(f.newest, fingerprint)
		}
		pending = pending[n:]
		row.spans += n
		row.lastArrival = max(row.lastArrival, w.now)
		if err := w.exec(ctx, upsert, row.id, row.firstArrival, row.lastArrival, f.newest); err != nil {
			return fmt.Errorf("write fingerprint: %w", err)
		}
	}
	return w.expire(ctx, max(minRowsExpired, 2*written))
}

// growing returns the last row, or a new one where that is full or old.
func (f *fingerprints) growing(now int64) *fingerprintRow {
	var last fingerprintRow
	if len(f.rows) > 0 {
		last = f.rows[len(f.rows)-1]
	}
	if last.id == 0 || last.spans >= fingerprintsPerRow || now-last.firstArrival >= maxRowAgeSeconds {
		// The clock may have been set back; the order of arrival stays.
		now = max(now, last.lastArrival)
		f.rows = append(f.rows, fingerprintRow{id: last.id + 1, firstArrival: now, lastArrival: now})
		f.newest = f.newest[:0]
	}
	return &f.rows[len(f.rows)-1]
}

// expire deletes the rows that are too many, and at most so many that are older
// than the window.
func (w *writer) expire(ctx context.Context, most int) error {
	f := &w.fingerprints
	oldest := w.now - int64(w.options.DedupWindow/time.Second)
	for spans := f.window.Len(); len(f.rows) > 0; most-- {
		row := f.rows[0]
		if old := row.lastArrival < oldest && most > 0; !old && spans <= w.options.DedupMaxSpans {
			return nil
		}
		var content []byte
		if err := w.scanOne(ctx, &content, "SELECT fingerprints FROM fingerprint WHERE id = ?", row.id); err != nil {
			return fmt.Errorf("read fingerprint %d: %w", row.id, err)
		}
		if err := w.exec(ctx, "DELETE FROM fingerprint WHERE id = ?", row.id); err != nil {
			return fmt.Errorf("delete fingerprint %d: %w", row.id, err)
		}
		f.expired = appendFingerprints(f.expired, content)
		f.rows = f.rows[1:]
		spans -= row.spans
	}
	return nil
}

func appendFingerprints(to []uint64, content []byte) []uint64 {
	for ; len(content) >= fingerprintBytes; content = content[fingerprintBytes:] {
		to = append(to, binary.BigEndian.Uint64(content))
	}
	return to
}

// loadFingerprints reads the window; only its rows where the rest is
// remembered.
func (w *writer) loadFingerprints(ctx context.Context) error {
	f := &w.fingerprints
	f.rows, f.newest, f.expired = nil, nil, nil
	if !w.options.dedups() {
		return nil
	}
	content := "fingerprints"
	if !f.loaded {
		var bytes int
		err := w.conn.QueryRowContext(ctx, "SELECT coalesce(sum(length(fingerprints)), 0) FROM fingerprint").Scan(&bytes)
		if err != nil {
			return fmt.Errorf("fingerprint: %w", err)
		}
		f.window.Reserve(bytes / fingerprintBytes)
	} else {
		content = "CASE WHEN id = (SELECT max(id) FROM fingerprint) THEN fingerprints END"
	}
	query := "SELECT id, first_arrival_s, last_arrival_s, length(fingerprints), " + content + " FROM fingerprint ORDER BY id"
	err := eachRow(ctx, w.conn, query, func(rows *sql.Rows) error {
		var row fingerprintRow
		var content sql.RawBytes
		if err := rows.Scan(&row.id, &row.firstArrival, &row.lastArrival, &row.spans, &content); err != nil {
			return err
		}
		row.spans /= fingerprintBytes
		f.rows = append(f.rows, row)
		f.newest = append(f.newest[:0], content...)
		if !f.loaded {
			for ; len(content) >= fingerprintBytes; content = content[fingerprintBytes:] {
				f.window.Load(binary.BigEndian.Uint64(content))
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	f.loaded = true
	return nil
}

// reach is how far back a second delivery is noticed, if as many spans go on to
// arrive as in the last minute that had any. The view deduplication says the
// same.
func (w *writer) reach() time.Duration {
	rows, recent := w.fingerprints.rows, 0
	for i := len(rows) - 1; i >= 0 && rows[i].lastArrival > rows[len(rows)-1].lastArrival-60; i-- {
		recent += rows[i].spans
	}
	if recent == 0 {
		return w.options.DedupWindow
	}
	// Rows leave as a whole.
	sure := max(0, w.options.DedupMaxSpans-fingerprintsPerRow)
	seconds := float64(sure) * 60 / float64(recent)
	return min(w.options.DedupWindow, time.Duration(min(seconds, w.options.DedupWindow.Seconds())*float64(time.Second)))
}
