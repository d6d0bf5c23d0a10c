//go:build !linux

package main

import "errors"

// bytesWritten is known on Linux only.
func bytesWritten() (int64, error) { return 0, errors.ErrUnsupported }
