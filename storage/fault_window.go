package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// Who said that a fault was being injected, as fault_window.source names it.
const (
	sourceInjector = "injector"
	sourceConfig   = "config"
	sourceImport   = "import"
)

const insertWindow = `INSERT INTO fault_window (source, run_id, fault, target, experiment_id, start_ns, end_ns)
	VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`

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

// insertWindows writes windows, and returns how many were not there yet.
func insertWindows(ctx context.Context, q queryer, source string, windows []aggregator.FaultWindow) (added int, err error) {
	for i := range windows {
		if windows[i].EndUnixNano < windows[i].StartUnixNano {
			return 0, fmt.Errorf("fault window %d (%q): %w", i+1, windows[i].Fault, errWindowOrder)
		}
		args, _ := windowArgs(source, &windows[i])
		result, err := q.ExecContext(ctx, insertWindow, args...)
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

// replaceConfiguredWindows makes the rows of the configuration equal to it.
func replaceConfiguredWindows(ctx context.Context, q queryer, windows []aggregator.FaultWindow) error {
	if _, err := q.ExecContext(ctx, "DELETE FROM fault_window WHERE source = ?", sourceConfig); err != nil {
		return fmt.Errorf("write fault_window: %w", err)
	}
	_, err := insertWindows(ctx, q, sourceConfig, windows)
	return err
}

// ErrOlder is returned for a file that no writer of this version has opened
// yet, by those who must not migrate it. It is left untouched.
var ErrOlder = errors.New("file was written by an older version of spanbucket")

// ImportFaultWindows adds windows to the file at path, which must exist, and
// returns how many of them it did not have. A collector may be writing it
// meanwhile; a reader sees all of the windows or none. It returns ErrForeign,
// ErrNewer and ErrOlder for files that it must not touch.
func ImportFaultWindows(ctx context.Context, path string, windows []aggregator.FaultWindow) (added int, err error) {
	path, err = existingFile(ctx, path)
	if err != nil {
		return 0, fmt.Errorf("import fault windows: %w", err)
	}
	db, err := sql.Open("sqlite", writerDSN(path, SynchronousFull))
	if err != nil {
		return 0, fmt.Errorf("import fault windows: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		return 0, fmt.Errorf("import fault windows: open %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	added, err = importWindows(ctx, conn, windows)
	if err != nil {
		return 0, fmt.Errorf("import fault windows: %s: %w", path, err)
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

// importWindows is one transaction.
func importWindows(ctx context.Context, conn *sql.Conn, windows []aggregator.FaultWindow) (added int, err error) {
	if err := beginImmediate(ctx, conn); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			_, rollback := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			err = errors.Join(err, rollback)
		}
	}()
	id, err := readIdentity(ctx, conn)
	if err != nil {
		return 0, err
	}
	if err := id.checkPresent(); err != nil {
		return 0, err
	}
	if added, err = insertWindows(ctx, conn, sourceImport, windows); err != nil {
		return 0, err
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return added, err
}

// beginImmediate waits for other writers at most lockPatience.
func beginImmediate(ctx context.Context, conn *sql.Conn) error {
	began := time.Now()
	for {
		_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		if err == nil || !isBusy(err) || time.Since(began) > lockPatience {
			return err
		}
	}
}
