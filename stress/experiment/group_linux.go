package experiment

import "syscall"

// ownGroup lets a child have a process group of its own, so that an interrupt
// from the terminal is ours alone, and asks it to end when we are killed.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
