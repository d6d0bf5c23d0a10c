package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

// Store is a file that is being written. It is safe for concurrent use. Create
// it with Open and close it with Close.
type Store struct {
	writer  *writer
	file    *databaseFile
	stopped chan struct{}
	closing sync.Once
	err     error // of Close
}

// Open opens the file at o.Path for writing and creates it where it is
// missing. A damaged file of ours is given another name first, and reported as
// EventQuarantined. It returns ErrLocked where somebody else writes to it,
// ErrForeign, ErrNewer and ErrOtherWidths for files that it must not touch.
func Open(ctx context.Context, o Options) (_ *Store, err error) {
	o.setDefaults()
	if err := CheckPath(o.Path); err != nil {
		return nil, fmt.Errorf("open: path %w", err)
	}
	if o.Path, err = resolvePath(o.Path); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	lock, err := lockFile(o.Path, holderText(o.Holder, o.Now()))
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	s := &Store{writer: newWriter(&o), file: newDatabaseFile(&o, lock), stopped: make(chan struct{})}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", o.Path, err), s.writer.disconnect(), s.file.close(ctx), lock.release())
	}
	go func() {
		defer close(s.stopped)
		s.writer.run()
	}()
	return s, nil
}

// open connects the writer. What is damaged where the writer first reads it is
// quarantined as well.
func (s *Store) open(ctx context.Context) error {
	err := s.start(ctx)
	again, failed := s.file.quarantineDamaged(ctx, err)
	if failed != nil {
		return errors.Join(err, failed)
	}
	if again {
		if err := s.writer.disconnect(); err != nil {
			return err
		}
		err = s.start(ctx)
	}
	s.file.running = err == nil
	return err
}

// start opens the file and hands its connection to the writer.
func (s *Store) start(ctx context.Context) error {
	if err := s.file.open(ctx); err != nil {
		return err
	}
	s.writer.adopt(s.file.db, s.file.conn)
	s.file.db, s.file.conn, s.file.guard = nil, nil, nil
	return s.writer.prepare(ctx)
}

func (w *writer) adopt(db *sql.DB, conn *sql.Conn) {
	w.db, w.conn = db, conn
	w.statements, w.prepared = map[*bucketTable]*tableStatements{}, map[string]*sql.Stmt{}
}

// Write makes a batch durable and returns nil once it is. Where ctx ends
// before the writer took the batch, it is withdrawn and ctx.Err returned.
// After another error it is not known whether the batch is in the file.
func (s *Store) Write(ctx context.Context, b Batch) error {
	return s.writer.queue.submit(ctx, &waiting{Batch: b})
}

// Basis returns what batches are to be folded on. It changes when somebody
// opens a run, or puts another file in the place of the present one; a batch
// that was folded on the basis before is folded anew.
func (s *Store) Basis() Basis { return *s.writer.basis.Load() }

// Path returns the absolute path of the file.
func (s *Store) Path() string { return s.writer.options.Path }

// Sizes returns the bytes of the database file and of its write-ahead log; 0
// for one that is missing.
func (s *Store) Sizes() (file, wal int64) {
	return sizeOf(s.Path()), sizeOf(s.Path() + "-wal")
}

// Close commits what is waiting, moves the write-ahead log into the file,
// closes it and gives up the lock. Batches that come later get ErrClosed. It
// can be called more than once; every call returns the same error.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.writer.queue.close()
		<-s.stopped
		ctx := context.Background()
		s.err = errors.Join(s.writer.checkpoint(ctx), s.writer.disconnect(), s.file.lock.release())
	})
	return s.err
}

// checkpoint moves the write-ahead log into the file. A reader that still needs
// the log keeps it from being emptied; that is no error.
func (w *writer) checkpoint(ctx context.Context) error {
	if w.conn == nil {
		return nil
	}
	_, err := runCheckpoint(ctx, w.conn, checkpointTruncate)
	return err
}
