package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
)

// lockPatience is how long a commit waits for another process that writes,
// such as a command-line verb. It is shorter than the collector's default
// timeout, so that the caller hears the reason.
const lockPatience = 3 * time.Second

// writer owns the connection that writes. Only its own goroutine touches it.
type writer struct {
	options *Options
	policy  *sampling.Policy
	finest  aggregator.Widths
	queue   *queue

	file        *databaseFile
	conn        *sql.Conn // of file; nil while disconnected
	statements  map[*bucketTable]*tableStatements
	prepared    map[string]*sql.Stmt // by text, for exec
	dataVersion int64
	now         int64 // when the transaction began, Unix seconds

	// What follows is what the writer remembers of the file.
	version         int64 // number of the last commit
	live            *live
	registry        *aggregator.Registry
	seen            map[aggregator.Category]bool                   // categories with a span in the file
	unsaved         map[aggregator.SeriesID]aggregator.NamedSeries // known to registry, not in the file
	newest          map[aggregator.SeriesID]int64                  // series.newest_s
	profiles        *profiles
	knownFacts      map[factsOfRun]bool // in the file
	strata          *strata
	reachOfRequests reachOfRequests
	pending         pendingRows
	requests        *requestRows
	// fingerprints are those of the deduplication window.
	fingerprints  fingerprints
	basis         atomic.Pointer[Basis] // of the file; callers read it
	idled         time.Time             // when the writer last looked after the file
	lettersDue    bool                  // the file has dead letters that are to be tried again
	toldOfLetters time.Time
	// pinned are the runs that are kept whatever their age.
	pinned map[string]bool
	pruner *pruner
	upkeep upkeepState
	// lostObjectives are counted for and not in the file.
	lostObjectives []*aggregator.Objective
	// stale: a transaction was rolled back after it changed what the writer
	// remembers.
	stale bool

	merged  *aggregator.Delta   // reused by every group of more than one batch
	single  *aggregator.Delta   // reused where spans are folded one by one
	refolds []*aggregator.Delta // reused by batches without their duplicates
}

// pendingRows are rows of the small tables that the transaction will write.
type pendingRows struct {
	series  []aggregator.NamedSeries
	runs    map[string]*aggregator.RunSpan
	ledger  map[string]int64
	notes   map[string]int64
	facts   []factsOfRun
	newest  map[aggregator.SeriesID]int64 // series whose newest_s is raised
	counted map[countedRow]aggregator.ObjectiveCount
	// sampledUntil is one more than the latest start of the spans without a row
	// that stands for them alone, in Unix nanoseconds.
	sampledUntil int64
	// unknownUntil is the same of the spans that had no chance to have a row.
	unknownUntil int64
}

func newPendingRows() pendingRows {
	return pendingRows{
		runs: map[string]*aggregator.RunSpan{}, ledger: map[string]int64{}, notes: map[string]int64{},
		newest: map[aggregator.SeriesID]int64{}, counted: map[countedRow]aggregator.ObjectiveCount{},
	}
}

func newWriter(o *Options, file *databaseFile) *writer {
	finest := FinestWidths(o.Widths)
	w := &writer{
		options: o, policy: orAll(o.Sampling), file: file, finest: finest, queue: newQueue(), requests: newRequestRows(),
	}
	w.merged, w.single = w.newDelta(), w.newDelta()
	w.basis.Store(&Basis{Run: o.RunID})
	return w
}

// newDelta returns an empty delta like those of the batches.
func (w *writer) newDelta() *aggregator.Delta {
	return aggregator.NewDelta(w.finest, w.options.Objectives...)
}

// connect opens the file. prepare must follow.
func (w *writer) connect(ctx context.Context) error {
	if err := w.file.open(ctx); err != nil {
		return err
	}
	w.conn = w.file.conn
	w.statements, w.prepared = map[*bucketTable]*tableStatements{}, map[string]*sql.Stmt{}
	w.pruner, w.upkeep.request = newPruner(boundsOf(w.options)), ""
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
	errs = append(errs, w.file.close(context.Background()))
	w.statements, w.prepared, w.conn, w.stale = nil, nil, nil, false
	w.fingerprints.forget()
	return errors.Join(errs...)
}

// begin starts a transaction that may write, waiting for others at most
// lockPatience, or hardly at all. It connects where it must, and reads the file again where
// another connection changed it. After an error there is no transaction.
func (w *writer) begin(ctx context.Context, patient bool) error {
	if err := recovered(func() error { return w.connected(ctx) }); err != nil {
		return w.undo(ctx, err)
	}
	if err := w.beginImmediate(ctx, patient); err != nil {
		if isBusy(err) {
			return err // nothing has happened
		}
		return w.undo(ctx, err)
	}
	if err := recovered(func() error { return w.catchUp(ctx) }); err != nil {
		return w.undo(ctx, err)
	}
	w.now = w.options.Now().Unix()
	w.version++
	w.pending = newPendingRows()
	return nil
}

func (w *writer) connected(ctx context.Context) error {
	// What is known to have moved would only get a batch that is refused later.
	if w.conn != nil && w.file.check() != nil {
		if err := w.disconnect(); err != nil {
			return err
		}
	}
	if w.conn != nil {
		return nil
	}
	if err := w.connect(ctx); err != nil {
		return err
	}
	return w.prepare(ctx)
}

func (w *writer) beginImmediate(ctx context.Context, patient bool) error {
	began := time.Now()
	for {
		err := w.exec(ctx, "BEGIN IMMEDIATE")
		if err == nil {
			return nil
		}
		if !isBusy(err) || !patient || w.queue.patience(began) <= 0 {
			return fmt.Errorf("begin: %w", err)
		}
	}
}

// catchUp reads the file again where it, or what is remembered of it, changed.
func (w *writer) catchUp(ctx context.Context) error {
	var dataVersion int64
	if err := w.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&dataVersion); err != nil {
		return err
	}
	if dataVersion == w.dataVersion && !w.stale {
		return nil
	}
	if dataVersion != w.dataVersion {
		w.fingerprints.forget()
		w.pruner.single.recount()
	}
	if err := w.reload(ctx); err != nil {
		return err
	}
	w.dataVersion, w.stale = dataVersion, false
	return nil
}

// abort ends a transaction that has changed nothing.
func (w *writer) abort(ctx context.Context) {
	w.version--
	if err := w.exec(ctx, "ROLLBACK"); err != nil {
		_ = w.disconnect() // starts anew with the next transaction
	}
}

// undo takes back a transaction that failed, and returns why it did. Where only
// a value was refused, memory is read again from the file, but for the
// fingerprints. After anything else it is not known what the file holds or the
// connection is worth: the writer forgets everything and starts anew with the
// next transaction.
func (w *writer) undo(ctx context.Context, cause error) error {
	if isPoison(cause) && isOfBatch(cause) && w.forgetTransaction(ctx) {
		return cause
	}
	return errors.Join(cause, w.disconnect())
}

// forgetTransaction rolls back, and has memory read again from the file, but for
// the fingerprints. Where that fails it disconnects, and returns false.
func (w *writer) forgetTransaction(ctx context.Context) bool {
	if w.exec(ctx, "ROLLBACK") != nil {
		_ = w.disconnect() // starts anew with the next transaction
		return false
	}
	w.fingerprints.rollback()
	w.stale = true
	return true
}
