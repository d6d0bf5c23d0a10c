package storage

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

// ApplicationID marks a SQLite file as ours: "SpBk" in ASCII.
const ApplicationID = 0x5370426b

// SchemaVersion is the newest schema this program knows.
const SchemaVersion = 6

// ErrForeign is returned for a file that is no SQLite database, or one of
// another program. It is left untouched.
var ErrForeign = errors.New("not a spanbucket file")

// ErrNewer is returned for a file with a schema newer than SchemaVersion. It is
// left untouched.
var ErrNewer = errors.New("file was written by a newer version of spanbucket")

//go:embed migrations/*.sql
var migrations embed.FS

// queryer is what *sql.DB and *sql.Conn have in common.
type queryer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// identity is what the header of a file says it is.
type identity struct {
	applicationID int64
	schema        int64
	tables        int64
}

func readIdentity(ctx context.Context, q queryer) (identity, error) {
	var id identity
	for _, read := range []struct {
		query string
		into  *int64
	}{
		{"PRAGMA application_id", &id.applicationID},
		{"PRAGMA user_version", &id.schema},
		{"SELECT count(*) FROM sqlite_schema", &id.tables},
	} {
		if err := q.QueryRowContext(ctx, read.query).Scan(read.into); err != nil {
			return id, err
		}
	}
	return id, nil
}

// check returns ErrForeign or ErrNewer for a file that must not be touched.
func (id identity) check() error {
	if id.empty() {
		return nil
	}
	if id.applicationID != ApplicationID {
		return fmt.Errorf("application_id is %#x: %w", id.applicationID, ErrForeign)
	}
	if id.schema > SchemaVersion {
		return fmt.Errorf("schema %d, known up to %d: %w", id.schema, SchemaVersion, ErrNewer)
	}
	return nil
}

func (id identity) empty() bool { return id.applicationID == 0 && id.schema == 0 && id.tables == 0 }

// migrate brings the file to SchemaVersion. Each step and its number are one
// transaction, and the number is read again inside it: two programs may open
// the same file at once.
func migrate(ctx context.Context, conn *sql.Conn, o *Options) error {
	for {
		done, err := migrateOnce(ctx, conn, o)
		if err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		if done {
			return nil
		}
	}
}

func migrateOnce(ctx context.Context, conn *sql.Conn, o *Options) (done bool, err error) {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return false, err
	}
	defer func() {
		if done || err != nil {
			_, rollback := conn.ExecContext(ctx, "ROLLBACK")
			err = errors.Join(err, rollback)
		}
	}()
	id, err := readIdentity(ctx, conn)
	if err != nil {
		return false, err
	}
	if err := id.check(); err != nil {
		return false, err
	}
	if id.schema == SchemaVersion {
		return true, nil
	}
	step, err := migrationStep(id.schema + 1)
	if err != nil {
		return false, err
	}
	if _, err := conn.ExecContext(ctx, step); err != nil {
		return false, fmt.Errorf("step %d: %w", id.schema+1, err)
	}
	if id.empty() {
		if err := describeFile(ctx, conn, o); err != nil {
			return false, err
		}
	}
	// PRAGMA takes no bound values; both numbers are ours.
	header := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", ApplicationID, id.schema+1)
	if _, err := conn.ExecContext(ctx, header); err != nil {
		return false, err
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return false, err
}

func migrationStep(version int64) (string, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return "", err
	}
	prefix := fmt.Sprintf("migrations/%04d_", version)
	i := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, prefix) })
	if i < 0 {
		return "", fmt.Errorf("step %d is missing", version)
	}
	text, err := migrations.ReadFile(names[i])
	return string(text), err
}

// describeFile writes the rows of meta that never change.
func describeFile(ctx context.Context, conn *sql.Conn, o *Options) error {
	var writerID [16]byte
	if _, err := rand.Read(writerID[:]); err != nil {
		return fmt.Errorf("writer id: %w", err)
	}
	for key, value := range map[string]string{
		"writer_id":                hex.EncodeToString(writerID[:]),
		"histogram_precision_bits": strconv.Itoa(histogram.PrecisionBits),
		"created_utc":              o.Now().UTC().Format(time.RFC3339),
		"version":                  "0",
		"headline_category":        headlineCategory(nil),
	} {
		if err := setMeta(ctx, conn, key, value); err != nil {
			return err
		}
	}
	return nil
}

const upsertMeta = `INSERT INTO meta (key, value) VALUES (?, ?)
	ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE value <> excluded.value`

func setMeta(ctx context.Context, q queryer, key, value string) error {
	if _, err := q.ExecContext(ctx, upsertMeta, key, value); err != nil {
		return fmt.Errorf("meta %s: %w", key, err)
	}
	return nil
}
