package storage

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// eventLog keeps what a store reports.
type eventLog struct {
	mu     sync.Mutex
	events []Event
}

func (l *eventLog) add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

// of returns the events of one kind.
func (l *eventLog) of(kind EventKind) (events []Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.Kind == kind {
			events = append(events, e)
		}
	}
	return events
}

func loggedOptions(t *testing.T) (Options, *eventLog) {
	o, log := testOptions(t), &eventLog{}
	o.OnEvent = log.add
	return o, log
}

// spansOf returns which spans are in a file, and checks that the file is whole.
func spansOf(t *testing.T, path string) []byte {
	t.Helper()
	require.FileExists(t, path)
	r, err := OpenReader(t.Context(), path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	for p, err := range r.Verify(t.Context()) {
		t.Error(path, p, err)
	}
	rows, err := r.QueryContext(t.Context(), "SELECT span_id FROM requests ORDER BY span_id")
	require.NoError(t, err)
	ids := []byte{}
	for rows.Next() {
		var id string
		require.NoError(t, rows.Scan(&id))
		require.Len(t, id, 16)
		ids = append(ids, (id[3]-'0')&0xf)
	}
	require.NoError(t, errors.Join(rows.Err(), rows.Close()))
	return ids
}

func write(t *testing.T, s *Store, o Options, n byte) {
	t.Helper()
	require.NoError(t, s.Write(t.Context(), requestBatch(o, request(n, 0))))
}

// backup makes a file with the spans 8 and 9 at another path; the second of them
// is in its log only.
func backup(t *testing.T, o Options) string {
	t.Helper()
	source := o
	source.OnEvent = nil
	source.Path = filepath.Join(t.TempDir(), "source.db")
	s := openStore(t, source)
	write(t, s, source, 8)
	exec(t, source.Path, "PRAGMA wal_checkpoint(TRUNCATE)")
	write(t, s, source, 9)
	path := filepath.Join(filepath.Dir(o.Path), "backup.db")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		content, err := os.ReadFile(source.Path + suffix)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path+suffix, content, 0o600))
	}
	require.NoError(t, s.Close())
	return path
}

// wholeBackup is a backup without a log.
func wholeBackup(t *testing.T, o Options) string {
	t.Helper()
	path := backup(t, o)
	exec(t, path, "PRAGMA wal_checkpoint(TRUNCATE)")
	require.NoFileExists(t, path+"-wal")
	return path
}
