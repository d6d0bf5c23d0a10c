package live

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// file is the file that is served. It is opened anew where another one has
// taken its name.
type file struct {
	path string

	mu   sync.Mutex
	open *opened // nil: not open
}

// opened is a file that is open.
type opened struct {
	reader *storage.Reader
	info   os.FileInfo
	// probe is one connection, since a data version is of a connection.
	probeMu sync.Mutex
	probe   *sql.Conn
	users   int  // guarded by file.mu, like stale
	stale   bool // to be closed by its last user
}

// state is what tells two contents of a file apart.
type state struct {
	of          *opened
	dataVersion int64
	size        int64
	modified    time.Time
}

// use calls do with the file that has the name now.
func (f *file) use(ctx context.Context, do func(*opened) error) error {
	o, err := f.acquire(ctx)
	if err != nil {
		return err
	}
	err = do(o)
	if errors.Is(err, storage.ErrChanged) || errors.Is(err, errState) {
		f.forget(o)
	}
	return errors.Join(err, f.release(o))
}

func (f *file) acquire(ctx context.Context) (*opened, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open != nil && !os.SameFile(info, f.open.info) {
		if err := f.retire(); err != nil {
			return nil, err
		}
	}
	if f.open == nil {
		if f.open, err = openFile(ctx, f.path); err != nil {
			return nil, err
		}
	}
	f.open.users++
	return f.open, nil
}

func openFile(ctx context.Context, path string) (*opened, error) {
	reader, err := storage.OpenReader(ctx, path)
	if err != nil {
		return nil, err
	}
	o := &opened{reader: reader}
	// If the name is another's by now, the next look will tell.
	if o.info, err = os.Stat(path); err == nil {
		o.probe, err = reader.Conn(context.WithoutCancel(ctx))
	}
	if err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

func (o *opened) close() error {
	var errs []error
	if o.probe != nil {
		if err := o.probe.Close(); !errors.Is(err, sql.ErrConnDone) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, o.reader.Close())...)
}

// retire lets the present file go. f.mu must be held.
func (f *file) retire() error {
	old := f.open
	f.open = nil
	if old == nil {
		return nil
	}
	old.stale = true
	if old.users == 0 {
		return old.close()
	}
	return nil
}

// forget makes the next use open the file anew.
func (f *file) forget(o *opened) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == o {
		f.open, o.stale = nil, true
	}
}

func (f *file) release(o *opened) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o.users--; o.stale && o.users == 0 {
		return o.close()
	}
	return nil
}

// close lets the file go once nobody uses it.
func (f *file) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.retire()
}

// errState is returned where it cannot be said which content the file has. The
// connection that should say so may be of no use any more, or the file be gone:
// it is to be opened anew.
var errState = errors.New("state of the file")

// state says which content the file has: another one after every commit.
func (o *opened) state(ctx context.Context) (s state, err error) {
	s.of = o
	o.probeMu.Lock()
	defer o.probeMu.Unlock()
	// The connection is that of all viewers: one that goes away must not break it.
	err = o.probe.QueryRowContext(context.WithoutCancel(ctx), "PRAGMA data_version").Scan(&s.dataVersion)
	if err != nil {
		return s, fmt.Errorf("%w: read data version: %w", errState, err)
	}
	// A file that is read as one at rest has no data version.
	info, err := os.Stat(o.reader.Path())
	if err != nil {
		return s, fmt.Errorf("%w: %w", errState, err)
	}
	s.size, s.modified = info.Size(), info.ModTime()
	return s, nil
}
