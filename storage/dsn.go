package storage

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"modernc.org/sqlite"
)

// busyTimeoutMillis is how long one statement waits for another process's lock.
// It is short because such a wait cannot be interrupted; the writer tries again
// until its own patience ends.
const (
	busyTimeoutMillis = "250"
	busyTimeout       = "busy_timeout(" + busyTimeoutMillis + ")"
)

// init sets what holds for the whole process and must be set before anybody
// opens the first database.
//
// Open-file-description locks: with POSIX locks, any other code that opened
// and closed the database file would silently drop them.
func init() {
	sqlite.StrictPragmas(true)
	// Not every platform has them; POSIX locks are what is left.
	_, _ = sqlite.OFDLocking(true)
}

// safePragmas distrust the content of the file.
var safePragmas = []string{
	busyTimeout, "foreign_keys(1)", "trusted_schema(0)", "cell_size_check(1)", "mmap_size(0)",
}

func writerDSN(path string, synchronous Synchronous) string {
	var first []string
	if sizeOf(path) == 0 {
		// It takes effect on an empty file only, and only before WAL; any
		// other it would write to. The driver runs busy_timeout first and
		// the rest in alphabetical order, which happens to suit.
		first = append(first, "auto_vacuum(incremental)")
	}
	return dsn(path, slices.Concat(first, []string{
		"journal_mode(wal)",
		"synchronous(" + synchronous.String() + ")",
		"wal_autocheckpoint(4096)",
		"journal_size_limit(67108864)",
		"cache_size(-16384)",
	}, safePragmas), "mode", "rw", "_txlock", "immediate")
}

func readerDSN(path string) string {
	return dsn(path, append([]string{"query_only(1)"}, safePragmas...), "mode", "ro")
}

// keeperDSN is for the connection that tidies up behind readers.
func keeperDSN(path string) string {
	return dsn(path, append([]string{"query_only(1)"}, safePragmas...), "mode", "rw")
}

// restingDSN is for a file that nobody writes: no locks, no log, no files
// beside it.
func restingDSN(path string) string {
	return dsn(path, append([]string{"query_only(1)"}, safePragmas...), "mode", "ro", "immutable", "1")
}

// copyDSN is for an empty file that a copy is written to. Nothing of it counts
// before it is complete, so there is no journal on the disk, and the file is
// made durable as a whole.
func copyDSN(path string) string {
	return dsn(path, append([]string{"journal_mode(memory)", "synchronous(off)"}, safePragmas...), "mode", "rw")
}

// newFileDSN is for an empty file that a database is written to, of which the
// same holds.
func newFileDSN(path string) string {
	return dsn(path, slices.Concat([]string{
		"auto_vacuum(incremental)", "journal_mode(memory)", "synchronous(off)", "cache_size(-8192)",
	}, safePragmas), "mode", "rw")
}

// dsn is the only place that builds a data source name. The path is escaped
// whole: in a file: URI a '?', '#' or '%' in a name would otherwise open
// another file.
func dsn(path string, pragmas []string, pairs ...string) string {
	query := url.Values{"_pragma": pragmas, "_dqs": {"0"}, "_defensive": {"1"}}
	for i := 0; i < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
	}
	segments := strings.Split(filepath.ToSlash(path), "/")
	for i := range segments {
		segments[i] = url.PathEscape(segments[i])
	}
	return "file:" + strings.Join(segments, "/") + "?" + query.Encode()
}

// besideSuffixes are those of the files beside a database. One whose own name
// ended in one of them could be another's log or lock.
var besideSuffixes = []string{"-wal", "-shm", "-journal", ".lock"}

// CheckPath returns an error for a path that does not name a file, that SQLite
// gives a meaning of its own, or whose name belongs beside another file.
func CheckPath(path string) error {
	switch {
	case path == "":
		return errors.New("must not be empty")
	case strings.ContainsRune(path, 0):
		return errors.New("must not contain NUL")
	case path == ":memory:", strings.HasPrefix(path, "file:"):
		return fmt.Errorf("must name a file, got %q", path)
	case strings.HasSuffix(path, "/"):
		return fmt.Errorf("must name a file, got the folder %q", path)
	}
	name := path[strings.LastIndexAny(path, "/"+string(filepath.Separator))+1:]
	if name == "." || name == ".." {
		return fmt.Errorf("must name a file, got the folder %q", path)
	}
	for _, suffix := range besideSuffixes {
		if strings.HasSuffix(name, suffix) {
			return fmt.Errorf("must not end in %s, got %q: files beside a database are named so", suffix, path)
		}
	}
	return nil
}
