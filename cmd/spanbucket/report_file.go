package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// writeReportFile writes a file that appears when all of it is on the disk,
// for its owner only, whatever the umask. It replaces a regular file that is
// no database, and leaves nothing behind when it fails or ctx ends. Errors name
// the file.
func writeReportFile(ctx context.Context, source, target string, write func(io.Writer) error) (err error) {
	if err := checkReportFile(source, target); err != nil {
		return err
	}
	unfinished, err := storage.Unfinished(target)
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	defer func() {
		if err == nil {
			return
		}
		if usage := (usageError{}); !errors.As(err, &usage) { // which names it
			err = fmt.Errorf("%s: %w", target, err)
		}
		err = errors.Join(err, os.Remove(unfinished))
	}()
	// The umask may have taken even the owner's rights.
	if err := os.Chmod(unfinished, 0o600); err != nil {
		return err
	}
	file, err := os.OpenFile(unfinished, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(write(file), file.Close(), ctx.Err()); err != nil {
		return err
	}
	// Somebody may have put something else there.
	if err := checkReportFile(source, target); err != nil {
		return err
	}
	return storage.Publish(unfinished, target, true)
}

// checkReportFile refuses names that a report must not take.
func checkReportFile(source, target string) error {
	if err := storage.CheckPath(target); err != nil {
		return usageError{err}
	}
	there, err := os.Lstat(target)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !there.Mode().IsRegular():
		return usageError{fmt.Errorf("%s: only a regular file is replaced", target)}
	}
	for _, name := range []string{source, source + "-wal", source + "-shm"} {
		if ours, err := os.Stat(name); err == nil && os.SameFile(ours, there) {
			return usageError{fmt.Errorf("%s: is the file itself", target)}
		}
	}
	database, err := isDatabase(target)
	if err == nil && database {
		err = usageError{fmt.Errorf("%s: is a database, which a report does not replace", target)}
	}
	return err
}

// isDatabase tells whether a file begins as those of SQLite do.
func isDatabase(path string) (database bool, err error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrPermission) {
		return false, nil // it can still be replaced by the owner of the folder
	}
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	const magic = "SQLite format 3\x00"
	start := make([]byte, len(magic))
	n, err := io.ReadFull(file, start)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return string(start[:n]) == magic, err
}
