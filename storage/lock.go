package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/gofrs/flock"
)

// ErrLocked is returned by Open where another process, or another exporter of
// this one, writes to the file.
var ErrLocked = errors.New("file is in use by another writer")

// lockFile takes the lock that makes its holder the only writer of the
// database at path: an advisory lock on a file beside it, never on the database
// itself. The file names its holder.
func lockFile(path string) (*flock.Flock, error) {
	const attempts = 10 // each lost race means that a holder just left
	for range attempts {
		lock := flock.New(path+".lock", flock.SetPermissions(0o600))
		held, err := lock.TryLock()
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", lock.Path(), err)
		}
		if !held {
			holder, _ := os.ReadFile(lock.Path())
			return nil, errors.Join(fmt.Errorf("lock %s: held by %s: %w", lock.Path(), describeHolder(holder), ErrLocked), lock.Close())
		}
		if sameFile(lock) {
			if err := os.WriteFile(lock.Path(), fmt.Appendf(nil, "process %d\n", os.Getpid()), 0o600); err != nil {
				return nil, errors.Join(fmt.Errorf("lock %s: %w", lock.Path(), err), lock.Close())
			}
			return lock, nil
		}
		// The holder before us removed the file between our open and our lock.
		if err := lock.Close(); err != nil {
			return nil, fmt.Errorf("lock %s: %w", lock.Path(), err)
		}
	}
	return nil, fmt.Errorf("lock %s.lock: %w", path, ErrLocked)
}

func describeHolder(holder []byte) string {
	if text := strings.TrimSpace(string(holder)); text != "" {
		return text
	}
	return "an unnamed process"
}

// sameFile tells whether the path of the lock still leads to the file that is
// locked.
func sameFile(lock *flock.Flock) bool {
	locked, err := lock.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(lock.Path())
	return err == nil && os.SameFile(locked, there)
}

// unlockFile removes the file while it is still locked, so that nobody can
// hold a lock on a file that is about to go.
func unlockFile(lock *flock.Flock) error {
	err := os.Remove(lock.Path())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, lock.Close())
}
