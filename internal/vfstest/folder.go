package vfstest

import (
	"math/bits"
	"strings"
	"sync"
	"syscall"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// Operation is something SQLite does to a file. Several are or-ed to a set.
type Operation uint8

// The operations. Changes are those that alter what is on the disk.
const (
	Open Operation = 1 << iota
	Read
	Write
	Truncate
	Sync
	Delete

	numOperations = iota
	Changes       = Open | Write | Truncate | Sync | Delete
)

// Kind is what SQLite uses a file for. Several are or-ed to a set; the zero
// value stands for all of them.
type Kind uint8

// The kinds of files: a database, its write-ahead log, its rollback journal.
const (
	Database Kind = 1 << iota
	WAL
	Journal
	Other
)

func kindOfFlags(flags int32) Kind {
	switch {
	case flags&sqlite3.SQLITE_OPEN_MAIN_DB != 0:
		return Database
	case flags&sqlite3.SQLITE_OPEN_WAL != 0:
		return WAL
	case flags&sqlite3.SQLITE_OPEN_MAIN_JOURNAL != 0:
		return Journal
	}
	return Other
}

func kindOfName(name string) Kind {
	switch {
	case strings.HasSuffix(name, "-wal"):
		return WAL
	case strings.HasSuffix(name, "-journal"):
		return Journal
	}
	return Database
}

// The result codes of SQLite that tests inject.
const (
	CodeFull     = sqlite3.SQLITE_FULL // no room on the disk
	CodeOpen     = sqlite3.SQLITE_CANTOPEN
	CodeRead     = sqlite3.SQLITE_IOERR | 1<<8
	CodeWrite    = sqlite3.SQLITE_IOERR | 3<<8
	CodeSync     = sqlite3.SQLITE_IOERR | 4<<8
	CodeTruncate = sqlite3.SQLITE_IOERR | 6<<8
	CodeDelete   = sqlite3.SQLITE_IOERR | 10<<8
)

// Fault says which operations fail. They do not reach the disk.
type Fault struct {
	// Operations and Kinds select; of what matches both, the Nth fails,
	// counting from 1 when the fault is injected.
	Operations Operation
	Kinds      Kind
	Nth        int
	// UntilHealed lets everything that matches fail from there on.
	UntilHealed bool
	// Code is the result that SQLite gets.
	Code int32
	// Partial lets half of a write that fails reach the disk.
	Partial bool
}

// Folder is a folder that is watched. It is safe for concurrent use.
type Folder struct {
	path string

	mu        sync.Mutex
	counts    [numOperations]int
	fault     Fault
	matched   int // since the fault was injected
	failures  int // that it caused
	delay     time.Duration
	drop      bool
	changes   int // since KillAt
	killAt    int // 0: never
	killAfter bool
	recording *Recording // nil: none
}

// Count returns how often the operations were asked for since the watch began.
func (f *Folder) Count(operations Operation) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for i, count := range f.counts {
		if operations&(1<<i) != 0 {
			n += count
		}
	}
	return n
}

// Inject begins a fault, in place of the one before, and counts anew.
func (f *Folder) Inject(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.matched, f.failures = fault, 0, 0
}

// Heal ends the fault.
func (f *Folder) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = Fault{}
}

// Failures returns how many operations the last fault has let fail.
func (f *Folder) Failures() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failures
}

// DelaySyncs lets every sync take so many whole milliseconds longer; 0 ends that.
func (f *Folder) DelaySyncs(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = d
}

// DropSyncs lets syncs succeed without doing anything, as a disk that lies, or
// SQLite with synchronous=off.
func (f *Folder) DropSyncs(drop bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop = drop
}

// KillAt lets the process kill itself with SIGKILL at the nth of the Changes
// from now on, counting from 1: before it, or after it was done. 0 ends that.
func (f *Folder) KillAt(nth int, after bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes, f.killAt, f.killAfter = 0, nth, after
}

// verdict is what becomes of one operation.
type verdict struct {
	code    int32 // other than SQLITE_OK: it fails
	partial bool
	delay   time.Duration
	drop    bool
	kill    bool // when it is done
}

// before decides on an operation, or does not return.
func (f *Folder) before(operation Operation, kind Kind) verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[bits.TrailingZeros8(uint8(operation))]++
	v := verdict{code: sqlite3.SQLITE_OK}
	if operation&Changes != 0 {
		if f.changes++; f.changes == f.killAt {
			if !f.killAfter {
				killSelf()
			}
			v.kill = true
		}
	}
	if f.fault.Operations&operation != 0 && (f.fault.Kinds == 0 || f.fault.Kinds&kind != 0) {
		f.matched++
		if f.matched == f.fault.Nth || f.fault.UntilHealed && f.matched > f.fault.Nth {
			f.failures++
			v.code, v.partial = f.fault.Code, f.fault.Partial
		}
	}
	if operation == Sync {
		v.delay, v.drop = f.delay, f.drop
	}
	return v
}

// after is called when an operation that was let through is done.
func (v *verdict) after() {
	if v.kill {
		killSelf()
	}
}

// killSelf does not return: whatever SQLite would do next must not happen.
func killSelf() {
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {}
}
