package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"
)

// Store is a file that is being written. It is safe for concurrent use. Create
// it with Open and close it with Close.
type Store struct {
	writer  *writer
	lock    *flock.Flock
	stopped chan struct{}
	closing sync.Once
	err     error // of Close
}

// Open opens the file at o.Path for writing and creates it where it is
// missing. It returns ErrLocked where somebody else writes to it, ErrForeign,
// ErrNewer and ErrOtherWidths for files that it must not touch.
func Open(ctx context.Context, o Options) (_ *Store, err error) {
	o.setDefaults()
	if err := CheckPath(o.Path); err != nil {
		return nil, fmt.Errorf("open: path %w", err)
	}
	if o.Path, err = resolvePath(o.Path); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	lock, err := lockFile(o.Path)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	s := &Store{writer: newWriter(&o), lock: lock, stopped: make(chan struct{})}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", o.Path, err), s.writer.disconnect(), unlockFile(lock))
	}
	go func() {
		defer close(s.stopped)
		s.writer.run()
	}()
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	o := s.writer.options
	if err := createFile(o.Path, o.FileMode); err != nil {
		return err
	}
	if _, err := checkIdentity(ctx, o.Path); err != nil {
		return err
	}
	if err := s.writer.connect(ctx); err != nil {
		return err
	}
	if err := migrate(ctx, s.writer.conn, o); err != nil {
		return err
	}
	if err := describe(ctx, s.writer.conn, o); err != nil {
		return err
	}
	if err := syncFolder(filepath.Dir(o.Path)); err != nil {
		return err
	}
	return s.writer.prepare(ctx)
}

// resolvePath makes the folders of a path, each of them durable, and returns
// the path without symbolic links, so that two names of a file have one lock.
func resolvePath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	folder := filepath.Dir(path)
	var parents []string // of the folders that are missing
	for missing := folder; ; missing = filepath.Dir(missing) {
		if _, err := os.Stat(missing); err == nil || missing == filepath.Dir(missing) {
			break
		}
		parents = append(parents, filepath.Dir(missing))
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	for _, parent := range parents {
		if err := syncFolder(parent); err != nil {
			return "", err
		}
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved, nil
	}
	if folder, err = filepath.EvalSymlinks(folder); err != nil {
		return "", err
	}
	return filepath.Join(folder, filepath.Base(path)), nil
}

// createFile makes an empty file with the wanted mode, where there is none:
// SQLite would create it with whatever the umask leaves. The files it creates
// beside the database get the mode of the database.
func createFile(path string, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(mode), f.Sync(), f.Close())
}

// syncFolder makes the entry of a new file survive a power cut.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
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

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// Close commits what is waiting, moves the write-ahead log into the file,
// closes it and gives up the lock. Batches that come later get ErrClosed. It
// can be called more than once; every call returns the same error.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.writer.queue.close()
		<-s.stopped
		s.err = errors.Join(s.writer.checkpoint(), s.writer.disconnect(), unlockFile(s.lock))
	})
	return s.err
}

// checkpoint moves the write-ahead log into the file. A reader that still
// needs the log keeps it from being emptied; that is no error.
func (w *writer) checkpoint() error {
	if w.conn == nil {
		return nil
	}
	var busy, logged, moved int
	row := w.conn.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
	if err := row.Scan(&busy, &logged, &moved); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}
