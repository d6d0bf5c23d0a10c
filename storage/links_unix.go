//go:build unix

package storage

import (
	"io/fs"
	"syscall"
)

// linksOf returns how many names a file has, 1 where that cannot be told.
func linksOf(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Nlink)
	}
	return 1
}
