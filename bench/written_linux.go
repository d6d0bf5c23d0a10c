package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// bytesWritten returns how many bytes this process has handed to the system to
// be written, as the kernel counts them.
func bytesWritten() (int64, error) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, fmt.Errorf("count bytes written: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "wchar: "); ok {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, fmt.Errorf("count bytes written: no wchar in /proc/self/io")
}
