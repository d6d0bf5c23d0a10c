package storage

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Failure says why a write failed, and so what helps.
type Failure uint8

// The failures. After all but FailurePoison and FailureUnknown the caller may
// send the same batch again, without end: it will be stored once the cause is
// gone.
const (
	// FailureFile is one of the file that none of the others name.
	FailureFile Failure = iota
	// FailureContention: another process writes to the file.
	FailureContention
	// FailureFull: there is no room on the disk.
	FailureFull
	// FailureIO: reading, writing or syncing failed. Whether the batch is in
	// the file is not known until it is opened anew.
	FailureIO
	// FailureCorrupt: the file is damaged.
	FailureCorrupt
	// FailureDenied: the file or its folder must not be written, or is
	// missing.
	FailureDenied
	// FailureMoved: the file was moved, replaced or deleted.
	FailureMoved
	// FailureCancelled: the caller's context ended, or the store was closed.
	FailureCancelled
	// FailurePoison: a span of the batch cannot be stored, whatever is tried.
	FailurePoison
	// FailureUnknown: the batch failed for a reason that nobody has
	// classified.
	FailureUnknown

	numFailures
)

var failureNames = [numFailures]string{
	"file", "contention", "full", "io", "corrupt", "denied", "moved", "cancelled", "poison", "unknown",
}

// String returns the name of the failure, as telemetry has it.
func (f Failure) String() string { return failureNames[f] }

// ErrMoved is returned where the file was moved, replaced or deleted while it
// was written: what was written is not where readers look.
var ErrMoved = errors.New("file was moved, replaced or deleted while it was written")

// PanicError is a panic while a batch was read, folded or stored.
type PanicError struct {
	Value any // that the panic had
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// batchError is an error of what a batch holds, not of the file: the transaction
// had begun and did not fail for a reason outside.
type batchError struct{ error }

func (e *batchError) Unwrap() error { return e.error }

// fileError is an error of the file, although a transaction had begun.
type fileError struct{ error }

func (e *fileError) Unwrap() error { return e.error }

// FailureOf sorts an error of Write.
func FailureOf(err error) Failure {
	if errors.Is(err, ErrClosed) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return FailureCancelled
	}
	if errors.Is(err, ErrMoved) {
		return FailureMoved
	}
	if errors.Is(err, errDamaged) {
		return FailureCorrupt
	}
	if errors.Is(err, ErrForeign) || errors.Is(err, ErrNewer) {
		return FailureDenied
	}
	if failure, ok := failureOfCode(err); ok {
		return failure
	}
	var ofBatch *batchError
	var ofFile *fileError
	if !errors.As(err, &ofBatch) || errors.As(err, &ofFile) {
		return FailureFile
	}
	var panicked *PanicError
	if errors.As(err, &panicked) || isPoison(err) {
		return FailurePoison
	}
	return FailureUnknown
}

// failureOfCode sorts errors of SQLite that have their cause outside the batch.
func failureOfCode(err error) (Failure, bool) {
	switch primaryCode(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_ABORT, sqlite3.SQLITE_SCHEMA:
		return FailureContention, true
	case sqlite3.SQLITE_FULL:
		return FailureFull, true
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM:
		return FailureIO, true
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return FailureCorrupt, true
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return FailureDenied, true
	case sqlite3.SQLITE_INTERRUPT:
		return FailureCancelled, true
	default:
		return 0, false
	}
}

// isPoison tells whether SQLite refused a value.
func isPoison(err error) bool {
	switch primaryCode(err) {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH:
		return true
	default:
		return false
	}
}

// primaryCode returns SQLite's primary result code, 0 for another error.
func primaryCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// extendedCode returns SQLite's extended result code, 0 for another error.
func extendedCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

func isBusy(err error) bool {
	code := primaryCode(err)
	return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
}
