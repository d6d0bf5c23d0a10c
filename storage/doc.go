// Package storage keeps deltas in one SQLite file.
//
// # One writer
//
// A [Store] has one connection that writes, owned by one goroutine. Callers of
// [Store.Write] put a batch into its queue and wait. The goroutine takes every
// batch that is waiting, merges their deltas and makes them durable in one
// transaction, then answers all of them; while a commit is on its way to the
// disk the next group gathers. So the answer nil means: committed, and with
// synchronous=FULL on the disk.
//
// A transaction that fails is rolled back, and everything the writer remembers
// is forgotten and read again from the file, since a failed COMMIT may or may
// not have reached the disk.
//
// # What the writer remembers
//
// The rows of recent buckets, with their histograms decoded, so that a commit
// reads nothing and writes only the rows that changed; the live series and
// runs; the profiles that single requests share; and the candidates of recent
// minutes. It begins every transaction by asking whether another connection
// changed the file (PRAGMA data_version), and forgets everything if so.
//
// # Single requests
//
// Besides its delta a batch brings its spans in full, and says of each whether
// it is sampled. The writer reads those, inside the transaction, of which rows
// are to be kept: requests, and what sessions, tools, circuits and fault windows
// are made of. Rows are appended: a span that is counted twice has two, so that
// the buckets can be made of the rows again ([Rebuild]).
//
// # What leaves
//
// Between two commits, once everybody is answered, the writer removes what is
// over its bound, in transactions of about 10 ms. A round goes through buckets,
// requests, small tables, the size of the file, series and runs, then gives free
// pages back to the file system. The table pruned says from when on a width is
// complete, and is changed in the same transaction; the writer makes no rows
// from before, but for pinned runs and in the widest width. [PruneFile] does the
// same from outside.
//
// # The file underneath
//
// SQLite goes on writing to a file that was moved or deleted, and every COMMIT
// succeeds. So after each one, before anybody is answered, the names of the
// database, of its log and of the index of the log are compared with the files
// that are open. Where they differ the writer leaves them without touching what
// is not its own, and opens the path anew.
//
// A damaged file that shows that it is ours is given another name when the Store
// is opened, with its log, and a new one begins. While the Store is open nothing
// is: somebody may be copying.
//
// # Readers
//
// Readers open the file for themselves, read-only ([OpenReader]); WAL gives
// them a consistent snapshot while the writer goes on. Inside the process
// nothing opens the database file other than through SQLite: closing such a
// handle would drop SQLite's locks.
//
// # Where things are
//
// The tables and views are in migrations/. Files are named by what they do:
// queue, commit, writer, apply, flush and live are the way of a batch; keep,
// request_…, profile and strata that of single requests; slo… that of
// objectives; fingerprint… that of deduplication; prune… what leaves; merge…, rebuild…, snapshot, new_file and
// upkeep are for verbs; database_file, file_guard, header…, lock, quarantine and
// wal look after the file underneath; verify… checks all of it.
package storage
