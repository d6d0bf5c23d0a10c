package engine

import (
	"errors"
	"fmt"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Value is an argument of a function, valid until the function returns.
type Value struct {
	tls    *libc.TLS
	handle uintptr
}

// The kinds of values.
const (
	Integer = sqlite3.SQLITE_INTEGER
	Float   = sqlite3.SQLITE_FLOAT
	Text    = sqlite3.SQLITE_TEXT
	Blob    = sqlite3.SQLITE_BLOB
	Null    = sqlite3.SQLITE_NULL
)

// Kind is one of the kinds of values.
func (v Value) Kind() int32 { return sqlite3.Xsqlite3_value_type(v.tls, v.handle) }

// Int64 is the value as an integer, after the engine's rules.
func (v Value) Int64() int64 { return sqlite3.Xsqlite3_value_int64(v.tls, v.handle) }

// Float64 is the value as a number, after the engine's rules.
func (v Value) Float64() float64 { return sqlite3.Xsqlite3_value_double(v.tls, v.handle) }

// Text is the value as text, after the engine's rules; the bytes of a blob.
func (v Value) Text() string {
	// The text before its length, which it may change.
	text := sqlite3.Xsqlite3_value_text(v.tls, v.handle)
	return string(memory(text, sqlite3.Xsqlite3_value_bytes(v.tls, v.handle)))
}

// ErrTooBig is for functions to return instead of a value that would exceed
// SQLITE_LIMIT_LENGTH.
var ErrTooBig = errors.New("string or blob too big")

// Scalar computes one value of others: nil, int64, float64, string or []byte.
type Scalar func(arguments []Value) (any, error)

// Aggregate computes one value of many rows.
type Aggregate interface {
	Add(arguments []Value) error
	// Result is called once, after the last row.
	Result() (any, error)
}

// CreateScalar gives queries a function of so many arguments; it takes the place
// of the engine's own of that name. It must depend on its arguments alone.
func (c *Conn) CreateScalar(name string, arguments int32, function Scalar) error {
	return c.create(name, arguments, function, pointer(callScalar), 0, 0)
}

// CreateAggregate gives queries an aggregate function of so many arguments.
func (c *Conn) CreateAggregate(name string, arguments int32, begin func() Aggregate) error {
	return c.create(name, arguments, begin, 0, pointer(callAdd), pointer(callResult))
}

func (c *Conn) create(name string, arguments int32, function any, scalar, add, result uintptr) error {
	text, err := libc.CString(name)
	if err != nil {
		return err
	}
	defer libc.Xfree(c.tls, text)
	key := register(function)
	c.functions = append(c.functions, key)
	const flags = sqlite3.SQLITE_UTF8 | sqlite3.SQLITE_DETERMINISTIC | sqlite3.SQLITE_INNOCUOUS
	code := sqlite3.Xsqlite3_create_function_v2(c.tls, c.db, text, arguments, flags, key, scalar, add, result, 0)
	if code != sqlite3.SQLITE_OK {
		return fmt.Errorf("create function %s: %w", name, c.failure(code))
	}
	return nil
}

func callScalar(tls *libc.TLS, context uintptr, n int32, values uintptr) {
	function, _ := registered(sqlite3.Xsqlite3_user_data(tls, context)).(Scalar)
	value, err := function(arguments(tls, n, values))
	give(tls, context, value, err)
}

// state is where C keeps the key of an aggregate in the making; nil where it has
// none and none is asked for.
func state(tls *libc.TLS, context uintptr, bytes int32) *uintptr {
	return at[uintptr](sqlite3.Xsqlite3_aggregate_context(tls, context, bytes))
}

func callAdd(tls *libc.TLS, context uintptr, n int32, values uintptr) {
	key := state(tls, context, int32(unsafe.Sizeof(context)))
	if key == nil {
		sqlite3.Xsqlite3_result_error_nomem(tls, context)
		return
	}
	if *key == 0 {
		begin, _ := registered(sqlite3.Xsqlite3_user_data(tls, context)).(func() Aggregate)
		*key = register(begin())
	}
	aggregate, _ := registered(*key).(Aggregate)
	if err := aggregate.Add(arguments(tls, n, values)); err != nil {
		give(tls, context, nil, err)
	}
}

// callResult is called for every aggregate, also after an error.
func callResult(tls *libc.TLS, context uintptr) {
	key := state(tls, context, 0)
	if key == nil || *key == 0 {
		begin, _ := registered(sqlite3.Xsqlite3_user_data(tls, context)).(func() Aggregate)
		value, err := begin().Result() // of no rows
		give(tls, context, value, err)
		return
	}
	aggregate, _ := registered(*key).(Aggregate)
	unregister(*key)
	value, err := aggregate.Result()
	give(tls, context, value, err)
}

func arguments(tls *libc.TLS, n int32, values uintptr) []Value {
	out := make([]Value, n)
	for i := range out {
		out[i] = Value{tls, *at[uintptr](values + uintptr(i)*unsafe.Sizeof(values))}
	}
	return out
}

// give hands the value of a function, or its error, to the engine.
func give(tls *libc.TLS, context uintptr, value any, err error) {
	if errors.Is(err, ErrTooBig) {
		sqlite3.Xsqlite3_result_error_toobig(tls, context)
		return
	}
	if err != nil {
		message, failed := libc.CString(err.Error())
		if failed != nil {
			sqlite3.Xsqlite3_result_error_nomem(tls, context)
			return
		}
		sqlite3.Xsqlite3_result_error(tls, context, message, -1)
		libc.Xfree(tls, message)
		return
	}
	switch v := value.(type) {
	case int64:
		sqlite3.Xsqlite3_result_int64(tls, context, v)
	case float64:
		sqlite3.Xsqlite3_result_double(tls, context, v)
	case string:
		giveBytes(tls, context, v, sqlite3.Xsqlite3_result_text)
	case []byte:
		giveBytes(tls, context, string(v), sqlite3.Xsqlite3_result_blob)
	default:
		sqlite3.Xsqlite3_result_null(tls, context)
	}
}

func giveBytes(tls *libc.TLS, context uintptr, text string, result func(*libc.TLS, uintptr, uintptr, int32, uintptr)) {
	copied, err := libc.CString(text)
	if err != nil {
		sqlite3.Xsqlite3_result_error_nomem(tls, context)
		return
	}
	// The engine takes a copy of its own, and checks its length.
	const transient = ^uintptr(0)
	result(tls, context, copied, int32(len(text)), transient)
	libc.Xfree(tls, copied)
}
