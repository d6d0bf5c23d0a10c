package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

var (
	// ErrExists is returned where a new file would take the place of another.
	ErrExists = errors.New("file exists")
	// ErrInUse is returned where a file that is to be replaced is open.
	ErrInUse = errors.New("file is in use")
)

// Unfinished makes an empty file in the folder of target, for its owner only,
// that is to become target by Publish. Until then target is as it was.
func Unfinished(target string) (path string, err error) {
	f, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*.unfinished")
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

// Publish gives a file that is complete and closed the name target, in the
// same folder, so that a power cut leaves either all of it there or none. What
// has that name already is replaced only where replace is set, else Publish
// returns ErrExists.
func Publish(unfinished, target string, replace bool) error {
	f, err := os.OpenFile(unfinished, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if !replace {
		if err := checkFree(target); err != nil {
			return err
		}
	}
	if err := os.Rename(unfinished, target); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(target))
}

// checkFree returns ErrExists where something has the name already.
func checkFree(target string) error {
	switch _, err := os.Lstat(target); {
	case err == nil:
		return fmt.Errorf("%s: %w", target, ErrExists)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}
