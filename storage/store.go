package storage

import (
	"context"
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
	file := newDatabaseFile(&o, lock)
	s := &Store{writer: newWriter(&o, file), file: file, stopped: make(chan struct{})}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", o.Path, err), s.writer.disconnect(), s.file.finish(ctx), lock.release())
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
	err := s.writer.connected(ctx)
	again, failed := s.file.quarantineDamaged(ctx, err)
	if failed != nil {
		return errors.Join(err, failed)
	}
	if again {
		if err := s.writer.disconnect(); err != nil {
			return err
		}
		err = s.writer.connected(ctx)
	}
	s.file.running = err == nil
	return err
}

// Write makes a batch durable and returns nil once it is. Where ctx ends
// before the writer took the batch, it is withdrawn and ctx.Err returned.
// After another error it is not known whether the batch is in the file.
func (s *Store) Write(ctx context.Context, b Batch) error {
	return s.writer.queue.submit(ctx, &waiting{Batch: b})
}

// Check tells whether Write would commit a batch, and changes nothing.
func (s *Store) Check(ctx context.Context, b Batch) error {
	return s.writer.queue.submit(ctx, &waiting{Batch: b, check: true, alone: true})
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
		s.err = errors.Join(s.file.checkpoint(ctx), s.writer.disconnect(), s.file.finish(ctx), s.file.lock.release())
	})
	return s.err
}
