// Package engine opens one connection to SQLite with what the driver for
// database/sql lacks: an authorizer, a callback while a statement runs, functions
// that are written in Go, and a bound on memory. It is the same translated library
// as the driver's, so both see each other's locks.
//
// Everything here that is unsafe follows the conventions of the translation: a
// pointer of C is a uintptr to memory that the garbage collector does not know,
// and a function is passed by the address of its code.
package engine
