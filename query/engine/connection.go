package engine

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Conn is a connection. It must not be used by two goroutines at once.
type Conn struct {
	tls       *libc.TLS
	db        uintptr
	key       uintptr // of the registry
	authorize func(Action) bool
	proceed   func() bool
	functions []uintptr // keys of the registry
}

// The registry finds what a callback of C belongs to. What C holds is a key of
// it, never a pointer to Go's memory.
var registry = struct {
	sync.RWMutex
	next    uintptr
	entries map[uintptr]any
}{entries: map[uintptr]any{}}

func register(entry any) uintptr {
	registry.Lock()
	defer registry.Unlock()
	registry.next++
	registry.entries[registry.next] = entry
	return registry.next
}

func registered(key uintptr) any {
	registry.RLock()
	defer registry.RUnlock()
	return registry.entries[key]
}

func unregister(key uintptr) {
	registry.Lock()
	defer registry.Unlock()
	delete(registry.entries, key)
}

// pointer returns a function of the package as C takes it; a closure could be
// collected.
func pointer[F any](function F) uintptr { return *(*uintptr)(unsafe.Pointer(&function)) }

// at is memory of C, whose address is a number.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// Open opens a database for reading only. uri is a file: URI; it can but narrow
// what may be done.
func Open(uri string) (_ *Conn, err error) {
	c := &Conn{tls: libc.NewTLS()}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	name, err := libc.CString(uri)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(c.tls, name)
	handle := c.tls.Alloc(int(unsafe.Sizeof(c.db)))
	defer c.tls.Free(int(unsafe.Sizeof(c.db)))
	const flags = sqlite3.SQLITE_OPEN_READONLY | sqlite3.SQLITE_OPEN_URI | sqlite3.SQLITE_OPEN_NOMUTEX |
		sqlite3.SQLITE_OPEN_PRIVATECACHE | sqlite3.SQLITE_OPEN_EXRESCODE
	code := sqlite3.Xsqlite3_open_v2(c.tls, name, handle, flags, 0)
	c.db = *at[uintptr](handle)
	if code != sqlite3.SQLITE_OK {
		return nil, c.failure(code)
	}
	c.key = register(c)
	return c, nil
}

// Close closes the connection, and every statement of it must be closed.
func (c *Conn) Close() error {
	var err error
	if c.db != 0 {
		if code := sqlite3.Xsqlite3_close(c.tls, c.db); code != sqlite3.SQLITE_OK {
			err = c.failure(code)
		}
	}
	for _, key := range append(c.functions, c.key) {
		unregister(key)
	}
	c.db, c.functions = 0, nil
	c.tls.Close()
	return err
}

// Error is what SQLite says went wrong.
type Error struct {
	Code    int32 // extended
	Message string
}

func (e *Error) Error() string { return e.Message }

// Primary is the code without what extends it.
func (e *Error) Primary() int32 { return e.Code & 0xff }

func (c *Conn) failure(code int32) *Error {
	if c.db == 0 {
		return &Error{code, libc.GoString(sqlite3.Xsqlite3_errstr(c.tls, code))}
	}
	return &Error{sqlite3.Xsqlite3_extended_errcode(c.tls, c.db), libc.GoString(sqlite3.Xsqlite3_errmsg(c.tls, c.db))}
}

// Limit sets a limit of the connection, SQLITE_LIMIT_…, and returns an error where
// the engine does not take it.
func (c *Conn) Limit(id, most int32) error {
	sqlite3.Xsqlite3_limit(c.tls, c.db, id, most)
	if got := sqlite3.Xsqlite3_limit(c.tls, c.db, id, -1); got != most {
		return fmt.Errorf("limit %d is %d, not %d", id, got, most)
	}
	return nil
}

// Configure switches a property of the connection, SQLITE_DBCONFIG_…, on or off.
func (c *Conn) Configure(property int32, on bool) error {
	value := int32(0)
	if on {
		value = 1
	}
	arguments := libc.NewVaList(value, uintptr(0))
	defer libc.Xfree(c.tls, arguments)
	if code := sqlite3.Xsqlite3_db_config(c.tls, c.db, property, arguments); code != sqlite3.SQLITE_OK {
		return c.failure(code)
	}
	return nil
}

// BusyTimeout sets how long a statement waits for the lock of somebody else, in
// milliseconds.
func (c *Conn) BusyTimeout(millis int32) { sqlite3.Xsqlite3_busy_timeout(c.tls, c.db, millis) }

// Interrupt makes the statement that runs end with SQLITE_INTERRUPT soon. It may
// be called from any goroutine, until Close is called.
func (c *Conn) Interrupt() { sqlite3.Xsqlite3_interrupt(nil, c.db) }

// Exhaust makes whatever computes a text or a blob, or matches a pattern, fail
// from now on. It may be called when Interrupt may.
func (c *Conn) Exhaust() {
	for _, id := range []int32{sqlite3.SQLITE_LIMIT_LENGTH, sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH} {
		sqlite3.Xsqlite3_limit(nil, c.db, id, 0)
	}
}

// Action is what a statement asks to do, with the arguments of SQLITE_… actions:
// https://sqlite.org/c3ref/c_alter_table.html.
type Action struct {
	Code          int32
	First, Second string
	Database      string
	Via           string // the view or trigger that does it
}

// Authorize sets who decides, while a statement is prepared, what it may do. nil
// lets everything through.
func (c *Conn) Authorize(allowed func(Action) bool) {
	c.authorize = allowed
	callback := uintptr(0)
	if allowed != nil {
		callback = pointer(authorize)
	}
	sqlite3.Xsqlite3_set_authorizer(c.tls, c.db, callback, c.key)
}

func authorize(_ *libc.TLS, key uintptr, code int32, first, second, database, via uintptr) int32 {
	c, ok := registered(key).(*Conn)
	if ok && c.authorize(Action{code, libc.GoString(first), libc.GoString(second), libc.GoString(database), libc.GoString(via)}) {
		return sqlite3.SQLITE_OK
	}
	return sqlite3.SQLITE_DENY
}

// Watch calls proceed again and again while a statement is prepared or runs,
// every so many operations of the engine; false ends the statement.
func (c *Conn) Watch(operations int32, proceed func() bool) {
	c.proceed = proceed
	sqlite3.Xsqlite3_progress_handler(c.tls, c.db, operations, pointer(watch), c.key)
}

func watch(_ *libc.TLS, key uintptr) int32 {
	if c, ok := registered(key).(*Conn); ok && c.proceed() {
		return 0
	}
	return 1
}
