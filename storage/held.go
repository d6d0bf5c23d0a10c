package storage

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// maxHolderBytes bounds what is read of the name of a holder.
const maxHolderBytes = 1024

// Held tells whether a collector has the file at path open for writing, and
// which one, as its lock names it. It takes nothing away from anybody: the lock
// is only tried where somebody has left one, shared, for an instant, and no file
// is made. It errs towards false.
func Held(path string) (held bool, holder string) {
	// The writer resolves links, so that two names of a file have one lock.
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false, ""
	}
	path += ".lock"
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		return false, ""
	}
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	free, err := lock.TryRLock()
	if closed := lock.Close(); free || err != nil || closed != nil {
		return false, ""
	}
	return true, readHolder(path)
}

func readHolder(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxHolderBytes))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.ToValidUTF8(string(text), "\uFFFD"))
}
