package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// lockPatience is how long a commit waits for another process that writes,
// such as a command-line verb. It is shorter than the collector's default
// timeout, so that the caller hears the reason.
const lockPatience = 4 * time.Second

// writer owns the connection that writes. Only its own goroutine touches it.
type writer struct {
	options *Options
	finest  aggregator.Widths
	queue   *queue

	db          *sql.DB // nil while disconnected
	conn        *sql.Conn
	statements  map[*bucketTable]*tableStatements
	prepared    map[string]*sql.Stmt // by text, for exec
	dataVersion int64
	now         int64 // when the transaction began, Unix seconds

	// What follows is what the writer remembers of the file.
	version    int64 // number of the last commit
	live       *live
	registry   *aggregator.Registry
	seen       map[aggregator.Category]bool                   // categories with a span in the file
	unsaved    map[aggregator.SeriesID]aggregator.NamedSeries // known to registry, not in the file
	dictionary *dictionary
	knownFacts map[factsOfRun]bool // in the file
	pending    pendingRows
	requests   *requestRows

	merged *aggregator.Delta // reused by every group of more than one batch
	single *aggregator.Delta // reused where spans are folded one by one
}

// pendingRows are rows of the small tables that the transaction will write.
type pendingRows struct {
	series []aggregator.NamedSeries
	runs   map[string]*aggregator.RunSpan
	ledger map[string]int64
	notes  map[string]int64
	facts  []factsOfRun
}

func newWriter(o *Options) *writer {
	finest := FinestWidths(o.Widths)
	return &writer{
		options: o, finest: finest, queue: newQueue(), requests: newRequestRows(),
		merged: aggregator.NewDelta(finest), single: aggregator.NewDelta(finest),
	}
}

// connect opens the connection. prepare must follow once the file is migrated.
func (w *writer) connect(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, w.disconnect())
		}
	}()
	if w.db, err = sql.Open("sqlite", writerDSN(w.options.Path, w.options.Synchronous)); err != nil {
		return err
	}
	w.db.SetMaxOpenConns(1)
	if w.conn, err = w.db.Conn(ctx); err != nil {
		return err
	}
	w.statements, w.prepared = map[*bucketTable]*tableStatements{}, map[string]*sql.Stmt{}
	return nil
}

// prepare readies a connection to a file that has been migrated.
func (w *writer) prepare(ctx context.Context) error {
	for _, t := range []*bucketTable{headlineTable, seriesTable} {
		s, err := prepareTable(ctx, w.conn, t)
		if err != nil {
			return err
		}
		w.statements[t] = s
	}
	// Before reading anything: what changes from here on is noticed by begin.
	if err := w.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&w.dataVersion); err != nil {
		return err
	}
	return w.reload(ctx)
}

// disconnect closes everything; connect may follow.
func (w *writer) disconnect() error {
	var errs []error
	for _, s := range w.statements {
		errs = append(errs, s.close())
	}
	for _, s := range w.prepared {
		errs = append(errs, s.Close())
	}
	if w.conn != nil {
		errs = append(errs, w.conn.Close())
	}
	if w.db != nil {
		errs = append(errs, w.db.Close())
	}
	w.statements, w.prepared, w.conn, w.db = nil, nil, nil, nil
	return errors.Join(errs...)
}

// run commits groups of batches until the queue is closed and empty.
func (w *writer) run() {
	for {
		group, more := w.queue.take()
		if !more {
			return
		}
		// The transaction has its own context: a caller who gives up must not
		// undo what others wait for.
		err := w.commitGroup(context.Background(), group)
		for _, b := range group {
			b.done <- err
		}
		// Only now: nobody has to wait for housekeeping.
		if err == nil {
			w.live.shrink()
			for _, d := range []**aggregator.Delta{&w.merged, &w.single} {
				if (*d).Oversized() {
					*d = aggregator.NewDelta(w.finest)
				}
			}
		}
	}
}

// commitGroup makes a group durable in one transaction. After an error the
// writer has forgotten everything and starts anew with the next group.
func (w *writer) commitGroup(ctx context.Context, group []*waiting) error {
	began := time.Now()
	err := w.transaction(ctx, group)
	if err != nil {
		return errors.Join(fmt.Errorf("commit: %w", err), w.disconnect())
	}
	if w.options.OnCommit != nil {
		c := Commit{Duration: time.Since(began), Spans: w.pending.ledger, LiveSeries: w.registry.LiveSeries()}
		for _, b := range group {
			c.QueueWaits = append(c.QueueWaits, began.Sub(b.since))
		}
		w.options.OnCommit(c)
	}
	return nil
}

func (w *writer) transaction(ctx context.Context, group []*waiting) error {
	if w.conn == nil {
		if err := w.connect(ctx); err != nil {
			return err
		}
		if err := w.prepare(ctx); err != nil {
			return err
		}
	}
	if err := w.begin(ctx); err != nil {
		return err
	}
	if err := w.apply(ctx, group); err != nil {
		return errors.Join(err, w.rollback(ctx))
	}
	if err := w.flush(ctx); err != nil {
		return errors.Join(err, w.rollback(ctx))
	}
	if err := w.exec(ctx, "COMMIT"); err != nil {
		return errors.Join(err, w.rollback(ctx))
	}
	return nil
}

// begin starts a transaction that may write, waiting for others at most
// lockPatience, and forgets what it remembers if another connection changed
// the file.
func (w *writer) begin(ctx context.Context) error {
	began := time.Now()
	for {
		err := w.exec(ctx, "BEGIN IMMEDIATE")
		if err == nil {
			break
		}
		if !isBusy(err) || w.queue.patience(began) <= 0 {
			return fmt.Errorf("begin: %w", err)
		}
	}
	var dataVersion int64
	err := w.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&dataVersion)
	if err == nil && dataVersion != w.dataVersion {
		if err = w.reload(ctx); err == nil {
			w.dataVersion = dataVersion
		}
	}
	if err != nil {
		return errors.Join(err, w.rollback(ctx))
	}
	w.now = w.options.Now().Unix()
	w.version++
	w.pending = pendingRows{
		runs: map[string]*aggregator.RunSpan{}, ledger: map[string]int64{}, notes: map[string]int64{},
	}
	return nil
}

func (w *writer) rollback(ctx context.Context) error {
	return w.exec(ctx, "ROLLBACK")
}
