package storage

import (
	"context"
	"database/sql"
	"fmt"
)

// quickCheck returns an error that wraps errDamaged where the pages of a file do
// not fit together.
//
// SQLite's check gives errors of reading as text among what it finds, in many
// wordings. A page that could not be read is no damage, and may be readable
// later: only what is found twice, in a file of which every page can be read, is.
func quickCheck(ctx context.Context, conn *sql.Conn) error {
	found, err := quickCheckOnce(ctx, conn)
	if err != nil || found == "ok" {
		return err
	}
	// Reads all that follows from the disk.
	if _, err := conn.ExecContext(ctx, "PRAGMA shrink_memory"); err != nil {
		return fmt.Errorf("quick check: %w", err)
	}
	again, err := quickCheckOnce(ctx, conn)
	if err != nil || again == "ok" {
		return err
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA shrink_memory"); err != nil {
		return fmt.Errorf("quick check: %w", err)
	}
	var bytes sql.NullInt64
	err = conn.QueryRowContext(ctx, "SELECT sum(pgsize) FROM dbstat").Scan(&bytes)
	if failure, known := failureOfCode(err); err != nil && known && failure != FailureCorrupt {
		return fmt.Errorf("quick check: %s: %w", found, err)
	}
	return fmt.Errorf("%w: %s", errDamaged, found)
}

func quickCheckOnce(ctx context.Context, q Querier) (found string, err error) {
	if err := q.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found); err != nil {
		return "", fmt.Errorf("quick check: %w", err)
	}
	return found, nil
}
