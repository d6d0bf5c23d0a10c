package storage

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// byteUnits are the units of sizes, the largest of each kind first.
var byteUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
}

// ParseBytes reads a size such as 10GiB, 1.5GB or 500 MiB; a bare number is of
// bytes.
func ParseBytes(text string) (int64, error) {
	number, unit := strings.TrimSpace(text), int64(1)
	for _, u := range byteUnits {
		if n := len(number) - len(u.name); n > 0 && strings.EqualFold(number[n:], u.name) {
			number, unit = strings.TrimSpace(number[:n]), u.bytes
			break
		}
	}
	fail := fmt.Errorf("must be a size such as 10GiB, 500MB or 0, got %q", text)
	if number == "" || strings.Trim(number, "0123456789.") != "" || len(number) > 30 {
		return 0, fail
	}
	value, ok := new(big.Rat).SetString(number)
	if !ok {
		return 0, fail
	}
	value.Mul(value, new(big.Rat).SetInt64(unit))
	if !value.IsInt() {
		return 0, fmt.Errorf("must be whole bytes, got %q", text)
	}
	if !value.Num().IsInt64() {
		return 0, fmt.Errorf("must be at most %d bytes, got %q", int64(math.MaxInt64), text)
	}
	return value.Num().Int64(), nil
}

// BytesText writes a size so that ParseBytes reads the same.
func BytesText(n int64) string {
	for _, u := range byteUnits[:4] {
		if n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
