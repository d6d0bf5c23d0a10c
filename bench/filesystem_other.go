//go:build !linux

package main

// filesystemOf is known on Linux only.
func filesystemOf(string) (name string, inMemory bool) { return "unknown filesystem", false }
