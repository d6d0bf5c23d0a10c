//go:build unix && !linux

package experiment

import "syscall"

// ownGroup lets a child have a process group of its own, so that an interrupt
// from the terminal is ours alone.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
