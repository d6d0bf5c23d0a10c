package storage

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// problemsOf returns what Verify finds, a line each.
func problemsOf(t *testing.T, path string) (lines []string) {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	for p, err := range r.Verify(t.Context()) {
		require.NoError(t, err)
		lines = append(lines, p.String())
	}
	return lines
}

// reliableFile is a file with three rows of fingerprints, duplicates, dead
// letters, of which one was deleted, a batch that failed, and an open run.
func reliableFile(t *testing.T) string {
	t.Helper()
	o := dedupOptions(t)
	now := anInstant
	o.Now = func() time.Time { return now }
	s := openStore(t, o)
	for i := range 3 {
		now = anInstant.Add(time.Duration(i) * 2 * time.Minute)
		require.NoError(t, s.Write(t.Context(), delivery(o, numbers(10*i, 10*i+10)...)))
		require.NoError(t, s.Write(t.Context(), delivery(o, 10*i)))
		require.NoError(t, s.WriteLetters(t.Context(), []*Letter{letterOf(100+i, 200+i)}))
	}
	_, err := s.CountAttempt(t.Context(), 7)
	require.NoError(t, err)
	_, err = OpenRun(t.Context(), o.Path, NewRun{ID: "load-1"})
	require.NoError(t, err)
	_, _, err = PurgeDeadLetters(t.Context(), o.Path, []int64{2})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	return o.Path
}

// damaged runs a statement that the program itself never would.
func damaged(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(t.Context(), "PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF")
	require.NoError(t, err)
	result, err := db.ExecContext(t.Context(), statement)
	require.NoError(t, err)
	n, err := result.RowsAffected()
	require.NoError(t, err)
	require.Positive(t, n, "changes something")
}

func TestVerifyOfWhatWasDeliveredTwice(t *testing.T) {
	path := reliableFile(t)
	require.EqualValues(t, 3, one[int64](t, path, "SELECT count(*) FROM fingerprint"))
	require.Empty(t, problemsOf(t, path))
	require.NoError(t, openStore(t, Options{Path: path, Widths: testOptions(t).Widths}).Close(), "without deduplication")
	require.Empty(t, problemsOf(t, path))
}

// TestVerifyNamesWhatIsNotReliable: each damage is reported, and nothing else.
func TestVerifyNamesWhatIsNotReliable(t *testing.T) {
	for _, test := range []struct{ name, damage, want string }{
		{"a fingerprint is cut", "UPDATE fingerprint SET fingerprints = substr(fingerprints, 1, 83) WHERE id = 2",
			"fingerprint id=2 fingerprints: holds whole fingerprints, none of them 0: stored 83 bytes, expected a multiple of 8"},
		{"a row without fingerprints", "UPDATE fingerprint SET fingerprints = x'' WHERE id = 2",
			"fingerprint id=2 fingerprints: holds whole fingerprints, none of them 0: stored 0 bytes, expected a multiple of 8"},
		{"a fingerprint is 0", "UPDATE fingerprint SET fingerprints = CAST(substr(fingerprints, 1, 72) || x'0000000000000000' AS BLOB) WHERE id = 2",
			"fingerprint id=2 fingerprints: holds whole fingerprints, none of them 0: stored 0, expected another number"},
		{"a fingerprint is there twice", "UPDATE fingerprint SET fingerprints = CAST(substr(fingerprints, 1, 72) || (SELECT substr(fingerprints, 1, 8) FROM fingerprint WHERE id = 1) AS BLOB) WHERE id = 3",
			"fingerprint id=3 fingerprints: a span is remembered once: stored 0000000000000001 again, expected others"},
		{"a row ends before it begins", "UPDATE fingerprint SET first_arrival_s = last_arrival_s + 1 WHERE id = 3",
			"fingerprint id=3 first_arrival_s: the first span arrived before the last: stored 2026-01-30T10:04:01Z, expected at most 2026-01-30T10:04:00Z"},
		{"rows are out of order", "UPDATE fingerprint SET first_arrival_s = first_arrival_s - 200 WHERE id = 3",
			"fingerprint id=3 first_arrival_s: rows are in the order of arrival: stored 2026-01-30T10:00:40Z, expected 2026-01-30T10:02:00Z or later"},
		{"more than are to be remembered", "UPDATE meta SET value = '35' WHERE key = 'dedup_max_spans'",
			"fingerprint: not more spans are remembered than are to be, and were received: stored 36 spans, expected 35 or less"},
		{"more than were received", "UPDATE fingerprint SET fingerprints = CAST(fingerprints || x'00000000000009990000000000000998' AS BLOB) WHERE id = 1",
			"fingerprint: not more spans are remembered than are to be, and were received: stored 38 spans, expected 36 or less"},
		{"the size is no number", "UPDATE meta SET value = 'many' WHERE key = 'dedup_max_spans'",
			`meta key=dedup_max_spans: says what a reader must know: stored "many", expected an integer, 0 or more`},
		{"the window is negative", "UPDATE meta SET value = '-1' WHERE key = 'dedup_window_s'",
			`meta key=dedup_window_s: says what a reader must know: stored "-1", expected an integer, 0 or more`},
		{"the key is gone", "DELETE FROM fingerprint_key",
			"fingerprint_key: fingerprints have a key of 16 bytes: stored none, expected a key"},
		{"a letter is gone", "DELETE FROM dead_letter WHERE id = 1",
			"ledger reason=dead_letter spans: is the spans of all dead letters, and of those that were deleted: stored 6, expected 4"},
		{"it is not said what was deleted", "DELETE FROM notes WHERE reason = 'dead_letter_purged'",
			"ledger reason=dead_letter spans: is the spans of all dead letters, and of those that were deleted: stored 6, expected 4"},
		{"a letter holds no spans", "UPDATE dead_letter SET spans = 0 WHERE id = 1",
			"dead_letter id=1 spans: is 1 or more: stored 0, expected 1 or more"},
		{"a letter is neither due nor not", "UPDATE dead_letter SET due = 2 WHERE id = 3",
			"dead_letter id=3 due: is a known name: stored 2, expected 0 or 1"},
		{"nobody tried", "UPDATE dead_letter SET attempts = 0 WHERE id = 3",
			"dead_letter id=3 attempts: is 1 or more: stored 0, expected 1 or more"},
		{"the last attempt came first", "UPDATE dead_letter SET last_ns = first_ns - 1 WHERE id = 3",
			"dead_letter id=3 first_ns: the first attempt was before the last: stored 1769767440000000000, expected more than 0, at most last_ns"},
		{"a reason of another program", "UPDATE dead_letter SET reason = 'bad luck' WHERE id = 1",
			"dead_letter id=1 reason: is a known name: stored 'bad luck', expected a reason"},
		{"an endless error", "UPDATE dead_letter SET error = hex(zeroblob(513)) WHERE id = 1",
			"dead_letter id=1 octet_length(error): is valid, short and without NUL: stored 1026, expected 1024 bytes or less"},
		{"a letter without content", "UPDATE dead_letter SET payload = x'' WHERE id = 1",
			"dead_letter id=1 payload: is not empty: stored X'', expected OTLP"},
		{"a batch that failed never", "UPDATE failed_batch SET attempts = 0",
			"failed_batch batch_key=7 attempts: is 1 or more: stored 0, expected 1 or more"},
		{"a batch that failed before the epoch", "UPDATE failed_batch SET first_ns = -1",
			"failed_batch batch_key=7 first_ns: the first attempt was before the last: stored -1, expected more than 0, at most last_ns"},
		{"the open run is gone", "DELETE FROM run WHERE run_id = 'load-1'",
			`meta key=open_run: has a row in run: stored "load-1", expected a run`},
		{"it is not said what was purged", "INSERT INTO notes (reason, spans) VALUES ('purged', 3)",
			"ledger reason=folded spans: folded is the sum of the spans of all runs, and of those that were purged: stored 30, expected 33"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := reliableFile(t)
			damaged(t, path, test.damage)
			problems := problemsOf(t, path)
			require.Equal(t, []string{test.want}, problems)
		})
	}
}
