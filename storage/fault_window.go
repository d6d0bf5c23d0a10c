package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// Who said that a fault was being injected, as fault_window.source names it.
const (
	sourceInjector = "injector"
	sourceConfig   = "config"
	sourceImport   = "import"
)

// insertWindow inserts one window.
var insertWindow = windowInsert(1)

// windowInsert returns the statement that inserts so many windows.
func windowInsert(windows int) string {
	return "INSERT INTO fault_window (source, run_id, fault, target, experiment_id, start_ns, end_ns) VALUES " +
		strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?, ?, ?), ", windows), ", ") + " ON CONFLICT DO NOTHING"
}

// windowsPerInsert is how many windows one statement inserts.
const windowsPerInsert = 64

// windowArgs returns the values of insertWindow, and what cleaning changed.
func windowArgs(source string, window *aggregator.FaultWindow) ([]any, aggregator.Note) {
	args := []any{source}
	var all aggregator.Note
	for _, text := range []string{window.Run, window.Fault, window.Target, window.ExperimentID} {
		clean, notes := aggregator.CleanText(text)
		args = append(args, clean)
		all |= notes
	}
	return append(args, window.StartUnixNano, window.EndUnixNano), all
}

// errWindowOrder is returned for windows that end before they start.
var errWindowOrder = errors.New("ends before it starts")

// windowInserts returns the values for statements that insert
// windowsPerInsert windows each, and the last of them fewer.
func windowInserts(source string, windows []aggregator.FaultWindow) (inserts [][]any, err error) {
	for i := range windows {
		if windows[i].EndUnixNano < windows[i].StartUnixNano {
			return nil, fmt.Errorf("fault window %d (%q): %w", i+1, windows[i].Fault, errWindowOrder)
		}
	}
	// Rows that come in the order of the key are inserted faster.
	windows = slices.SortedFunc(slices.Values(windows), compareWindows)
	for i := range windows {
		args, _ := windowArgs(source, &windows[i])
		if i%windowsPerInsert == 0 {
			inserts = append(inserts, make([]any, 0, len(args)*windowsPerInsert))
		}
		last := len(inserts) - 1
		inserts[last] = append(inserts[last], args...)
	}
	return inserts, nil
}

// insertWindows writes windows, and returns how many were not there yet.
func insertWindows(ctx context.Context, conn *sql.Conn, inserts [][]any) (added int, err error) {
	var stmt *sql.Stmt
	prepared := 0 // for so many values
	defer func() {
		if stmt != nil {
			err = errors.Join(err, stmt.Close())
		}
	}()
	for _, args := range inserts {
		if len(args) != prepared {
			if stmt != nil {
				if err := stmt.Close(); err != nil {
					return 0, fmt.Errorf("write fault_window: %w", err)
				}
			}
			const columns = 7
			if stmt, err = conn.PrepareContext(ctx, windowInsert(len(args)/columns)); err != nil {
				return 0, fmt.Errorf("write fault_window: %w", err)
			}
			prepared = len(args)
		}
		result, err := stmt.ExecContext(ctx, args...)
		if err != nil {
			return 0, fmt.Errorf("write fault_window: %w", err)
		}
		n, err := result.RowsAffected()
		if err != nil {
			return 0, fmt.Errorf("write fault_window: %w", err)
		}
		added += int(n)
	}
	return added, nil
}

func compareWindows(a, b aggregator.FaultWindow) int {
	return cmp.Or(cmp.Compare(a.Run, b.Run), cmp.Compare(a.Fault, b.Fault), cmp.Compare(a.Target, b.Target),
		cmp.Compare(a.ExperimentID, b.ExperimentID), cmp.Compare(a.StartUnixNano, b.StartUnixNano), cmp.Compare(a.EndUnixNano, b.EndUnixNano))
}

// replaceConfiguredWindows makes the rows of the configuration equal to it.
func replaceConfiguredWindows(ctx context.Context, conn *sql.Conn, windows []aggregator.FaultWindow) error {
	inserts, err := windowInserts(sourceConfig, windows)
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "DELETE FROM fault_window WHERE source = ?", sourceConfig); err != nil {
		return fmt.Errorf("write fault_window: %w", err)
	}
	_, err = insertWindows(ctx, conn, inserts)
	return err
}

// MaxImportedWindows is how many fault windows can be imported at once, so that
// a collector that writes the file does not have to wait for long.
const MaxImportedWindows = 100_000

// ErrOlder is returned for a file that no writer of this version has opened
// yet, by those who cannot migrate it. It is left untouched.
var ErrOlder = errors.New("file is of an older schema; a collector migrates it when it opens it")

// CheckSchema returns ErrOlder for a file that has not yet a schema of at least
// the given version.
func CheckSchema(ctx context.Context, q Querier, needed int64) error {
	var schema int64
	if err := q.QueryRowContext(ctx, "PRAGMA user_version").Scan(&schema); err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	if schema < needed {
		return fmt.Errorf("schema %d, needed %d: %w", schema, needed, ErrOlder)
	}
	return nil
}

// ImportFaultWindows adds windows to the file at path, which must exist, and
// returns how many of them it did not have. A collector may be writing it
// meanwhile; a reader sees all of the windows or none. It returns ErrForeign,
// ErrNewer and ErrOlder for files that it must not touch.
func ImportFaultWindows(ctx context.Context, path string, windows []aggregator.FaultWindow) (added int, err error) {
	if n := len(windows); n > MaxImportedWindows {
		return 0, fmt.Errorf("import fault windows: %d are too many, must be at most %d", n, MaxImportedWindows)
	}
	// What can be prepared is, before others have to wait.
	inserts, err := windowInserts(sourceImport, windows)
	if err != nil {
		return 0, fmt.Errorf("import fault windows: %w", err)
	}
	err = maintain(ctx, path, func(ctx context.Context, u *upkeep) (err error) {
		added, err = insertWindows(ctx, u.conn, inserts)
		u.changed += int64(added)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("import fault windows: %w", err)
	}
	return added, nil
}

// existingFile returns the absolute path of a file of the present schema.
func existingFile(ctx context.Context, path string) (string, error) {
	if err := CheckPath(path); err != nil {
		return "", fmt.Errorf("path %w", err)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return "", fmt.Errorf("%s: %w", path, ErrForeign)
	}
	id, err := checkIdentity(ctx, path)
	if err == nil {
		err = id.checkPresent()
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return path, nil
}

// checkPresent returns ErrForeign, ErrNewer or ErrOlder for a file that has not
// the present schema.
func (id identity) checkPresent() error {
	if id.empty() {
		return ErrForeign
	}
	if id.schema < SchemaVersion {
		return fmt.Errorf("schema %d, needed %d: %w", id.schema, SchemaVersion, ErrOlder)
	}
	return id.check()
}
