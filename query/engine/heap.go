package engine

import (
	"errors"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// The library counts the memory it uses only if it is told to before anybody uses
// it. The translation leaves that off, and without it no bound holds.
var errCounting = func() error {
	tls := libc.NewTLS()
	defer tls.Close()
	arguments := libc.NewVaList(int32(1))
	defer libc.Xfree(tls, arguments)
	if sqlite3.Xsqlite3_config(tls, sqlite3.SQLITE_CONFIG_MEMSTATUS, arguments) != sqlite3.SQLITE_OK {
		return errors.New("memory of the engine is not bounded: it was in use before")
	}
	return nil
}()

// LimitHeap bounds the memory that the library uses, for all connections of the
// process together; beyond it statements fail with SQLITE_NOMEM. 0 takes
// the bound away.
func LimitHeap(bytes int64) error {
	if errCounting != nil {
		return errCounting
	}
	tls := libc.NewTLS()
	defer tls.Close()
	sqlite3.Xsqlite3_hard_heap_limit64(tls, bytes)
	return nil
}

// HeapUsed is how many bytes the library uses now.
func HeapUsed() int64 {
	tls := libc.NewTLS()
	defer tls.Close()
	return int64(sqlite3.Xsqlite3_memory_used(tls))
}

// HeapPeak is how many bytes the library has used at most since this was asked
// last.
func HeapPeak() int64 {
	tls := libc.NewTLS()
	defer tls.Close()
	return int64(sqlite3.Xsqlite3_memory_highwater(tls, 1))
}
