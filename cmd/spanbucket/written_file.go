package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// writtenFile is a file that an answer is written to. Errors name it by its flag.
type writtenFile struct {
	flag, path string
	source     string // the file that is asked, which is not replaced; may be empty
	keep       bool   // nothing is replaced; else a regular file that is no database
}

// write writes the file: it appears when all of it is on the disk, for its owner
// only, whatever the umask. Nothing is left behind when that fails or ctx ends.
func (f *writtenFile) write(ctx context.Context, write func(io.Writer) error) error {
	if err := f.check(); err != nil {
		return err
	}
	unfinished, err := storage.Unfinished(f.path)
	if err != nil {
		return f.fault(err)
	}
	if err := f.fill(ctx, unfinished, write); err != nil {
		return errors.Join(err, os.Remove(unfinished))
	}
	return nil
}

// fill writes the file under its first name, and gives it its own.
func (f *writtenFile) fill(ctx context.Context, unfinished string, write func(io.Writer) error) error {
	// The umask may have taken even the owner's rights.
	if err := os.Chmod(unfinished, 0o600); err != nil {
		return f.fault(err)
	}
	file, err := os.OpenFile(unfinished, os.O_WRONLY, 0)
	if err != nil {
		return f.fault(err)
	}
	to := &faultyWriter{to: file}
	err = write(to)
	if closed := file.Close(); err == nil || to.err != nil {
		err = f.fault(cmp.Or(to.err, closed, ctx.Err()))
	}
	if err != nil {
		return err
	}
	// Somebody may have put something else there.
	if err := f.check(); err != nil {
		return err
	}
	return f.fault(storage.Publish(unfinished, f.path, !f.keep))
}

// faultyWriter remembers why writing failed: what is written can fail for reasons
// of its own.
type faultyWriter struct {
	to  io.Writer
	err error
}

func (w *faultyWriter) Write(b []byte) (n int, err error) {
	if n, err = w.to.Write(b); err != nil {
		w.err = err
	}
	return n, err
}

// fault names the file in an error, rather than the name it has until it is whole.
func (f *writtenFile) fault(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", f.flag, f.path, err)
}

// check refuses names that the file must not take.
func (f *writtenFile) check() error {
	wrong := func(format string, args ...any) error { return usageError{f.fault(fmt.Errorf(format, args...))} }
	if err := storage.CheckPath(f.path); err != nil {
		return usageError{fmt.Errorf("%s %w", f.flag, err)}
	}
	there, err := os.Lstat(f.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		folder := filepath.Dir(f.path)
		if info, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) || err == nil && !info.IsDir() {
			return wrong("there is no folder %s", folder)
		}
		return nil
	case err != nil:
		return f.fault(err)
	}
	for _, name := range []string{f.source, f.source + "-wal", f.source + "-shm"} {
		if ours, err := os.Stat(name); err == nil && os.SameFile(ours, there) {
			return wrong("is the file itself")
		}
	}
	switch {
	case f.keep:
		return f.fault(storage.ErrExists)
	case !there.Mode().IsRegular():
		return wrong("only a regular file is replaced")
	}
	switch database, err := isDatabase(f.path); {
	case err != nil:
		return f.fault(err)
	case database:
		return wrong("is a database, which an answer does not replace")
	}
	return nil
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
