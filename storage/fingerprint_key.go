package storage

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/aggregator/dedup"
)

// ErrOtherSecret is returned by Open for a file whose fingerprints were made
// with another secret: they would say nothing of what comes. It is left
// untouched.
var ErrOtherSecret = errors.New("file has fingerprints of another secret")

// describeFingerprints writes the key of the fingerprints where it is missing,
// and takes fingerprints away that are not wanted.
func describeFingerprints(ctx context.Context, conn *sql.Conn, o *Options) error {
	spans := o.DedupMaxSpans
	if !o.dedups() {
		spans = 0
	}
	const surplus = `DELETE FROM fingerprint WHERE id <= (SELECT max(id)
		FROM (SELECT id, sum(length(fingerprints) / 8) OVER (ORDER BY id DESC) AS since FROM fingerprint) WHERE since > ?)`
	if _, err := conn.ExecContext(ctx, surplus, spans); err != nil {
		return fmt.Errorf("delete fingerprint: %w", err)
	}
	var key []byte
	var used bool
	err := conn.QueryRowContext(ctx, "SELECT key, EXISTS (SELECT 1 FROM fingerprint) FROM fingerprint_key").Scan(&key, &used)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read fingerprint_key: %w", err)
	}
	var wanted dedup.Key
	switch {
	case o.DedupSecret != "":
		wanted = dedup.KeyFromSecret(o.DedupSecret)
	case key != nil:
		return nil
	default:
		if _, err := rand.Read(wanted[:]); err != nil {
			return err
		}
	}
	if used && dedup.Key(key) != wanted {
		return fmt.Errorf("dedup.secret: must stay as it was when the file was begun, or path must name a new one: %w", ErrOtherSecret)
	}
	const upsert = `INSERT INTO fingerprint_key (id, key, configured) VALUES (1, ?, ?)
		ON CONFLICT (id) DO UPDATE SET key = excluded.key, configured = excluded.configured`
	_, err = conn.ExecContext(ctx, upsert, wanted[:], o.DedupSecret != "")
	return err
}

// loadBasis reads what callers must know to fold.
func (w *writer) loadBasis(ctx context.Context) error {
	basis := Basis{Run: w.options.RunID}
	err := w.conn.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'open_run'").Scan(&basis.Run)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("meta open_run: %w", err)
	}
	var key []byte
	if err := w.conn.QueryRowContext(ctx, "SELECT key FROM fingerprint_key").Scan(&key); err != nil {
		return fmt.Errorf("fingerprint_key: %w", err)
	}
	if copy(basis.Key[:], key) != len(basis.Key) {
		return fmt.Errorf("fingerprint_key: %d bytes, want %d", len(key), len(basis.Key))
	}
	w.basis.Store(&basis)
	return nil
}
