package aggregator_test

import (
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

var widths = []int64{1, 7, 60, 300, 86_400, 100_000}

// TestBucketStart: instants that are easily put into the wrong bucket.
func TestBucketStart(t *testing.T) {
	at := func(text string) int64 {
		instant, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return instant.Unix()
	}
	tests := []struct {
		name                 string
		instant, width, want int64
	}{
		{"the epoch", 0, 60, 0},
		{"one second before the epoch", -1, 60, -60},
		{"a width before the epoch", -60, 60, -60},
		{"a width and a second before the epoch", -61, 60, -120},
		{"the last second of a bucket", 59, 60, 0},
		{"the first second of the next one", 60, 60, 60},
		{"a width that does not divide the minute", 13, 7, 7},
		{"the same before the epoch", -13, 7, -14},
		{"last second of a day", at("2026-01-30T23:59:59Z"), 86_400, at("2026-01-30T00:00:00Z")},
		{"midnight", at("2026-01-31T00:00:00Z"), 86_400, at("2026-01-31T00:00:00Z")},
		{"leap day", at("2024-02-29T12:00:00Z"), 86_400, at("2024-02-29T00:00:00Z")},
		{"the minute after leap day", at("2024-03-01T00:00:30Z"), 60, at("2024-03-01T00:00:00Z")},
		{"five minutes across midnight", at("2024-02-29T00:01:00Z"), 300, at("2024-02-29T00:00:00Z")},
		{"a leap second has no number of its own", at("2016-12-31T23:59:59Z") + 1, 1, at("2017-01-01T00:00:00Z")},
		{"a day before 1970", at("1969-12-31T01:00:00Z"), 86_400, at("1969-12-31T00:00:00Z")},
		{"leap day before 1970", at("1968-02-29T23:59:59Z"), 86_400, at("1968-02-29T00:00:00Z")},
		{"100000 s cut across days", at("2026-01-30T10:00:00Z"), 100_000, 1_769_700_000},
		{"100000 s before 1970", -1, 100_000, -100_000},
	}
	for _, test := range tests {
		if got := aggregator.BucketStart(test.instant, test.width); got != test.want {
			t.Errorf("%s: BucketStart(%d, %d) = %d, want %d", test.name, test.instant, test.width, got, test.want)
		}
	}
}

// TestBucketHoldsItsInstant: start <= instant < start+width, and start is a
// multiple of width, for any instant and any width.
func TestBucketHoldsItsInstant(t *testing.T) {
	random := seedtest.Rand(t)
	check := func(instant, width int64) {
		t.Helper()
		start := aggregator.BucketStart(instant, width)
		end := new(big.Int).Add(big.NewInt(start), big.NewInt(width))
		if start > instant || end.Cmp(big.NewInt(instant)) <= 0 || start%width != 0 {
			t.Errorf("BucketStart(%d, %d) = %d", instant, width, start)
		}
	}
	for _, width := range widths {
		for _, base := range []int64{0, 951_782_400 /* 2000-02-29 */, 1_769_817_600 /* 2026-01-31 */, -86_400, math.MaxInt64 - 400_000, math.MinInt64 + 400_000} {
			for offset := int64(-2*width - 3); offset <= 2*width+3; offset += max(1, width/97) {
				check(base+offset, width)
			}
		}
		for range 10_000 {
			sign := 1 - 2*random.Int64N(2)
			check(sign*(random.Int64N(math.MaxInt64-1_000_000)>>random.UintN(62)), width)
		}
		check(math.MaxInt64, width)
		// The least instant whose bucket starts within an int64.
		least := int64(math.MinInt64)
		least -= least % width
		check(least, width)
	}
	for range 10_000 {
		check(random.Int64N(1<<40)-1<<39, 1+random.Int64N(1<<30))
	}
}

// TestWideBucketHoldsNarrowOnes: where a width is a multiple of another one,
// going through the narrow bucket changes nothing.
func TestWideBucketHoldsNarrowOnes(t *testing.T) {
	random := seedtest.Rand(t)
	for range 10_000 {
		narrow := 1 + random.Int64N(1000)
		wide := narrow * (1 + random.Int64N(100))
		instant := random.Int64N(1<<36) - 1<<35
		direct := aggregator.BucketStart(instant, wide)
		through := aggregator.BucketStart(aggregator.BucketStart(instant, narrow), wide)
		if direct != through {
			t.Fatalf("%d: bucket of %d s starts at %d, through %d s at %d", instant, wide, direct, narrow, through)
		}
	}
}

func TestUnixSeconds(t *testing.T) {
	tests := []struct{ nanoseconds, want int64 }{
		{0, 0},
		{1, 0},
		{999_999_999, 0},
		{1_000_000_000, 1},
		{-1, -1},
		{-999_999_999, -1},
		{-1_000_000_000, -1},
		{-1_000_000_001, -2},
		{1_769_817_599_999_999_999, 1_769_817_599},
		{math.MaxInt64, 9_223_372_036},
		{math.MinInt64, -9_223_372_037},
		{math.MinInt64 + 1, -9_223_372_037},
	}
	for _, test := range tests {
		if got := aggregator.UnixSeconds(test.nanoseconds); got != test.want {
			t.Errorf("UnixSeconds(%d) = %d, want %d", test.nanoseconds, got, test.want)
		}
	}
	random := seedtest.Rand(t)
	for range 100_000 {
		ns := int64(random.Uint64()) >> random.UintN(63)
		want := new(big.Int).Div(big.NewInt(ns), big.NewInt(1_000_000_000)) // Div rounds down for a positive divisor
		if got := aggregator.UnixSeconds(ns); got != want.Int64() {
			t.Fatalf("UnixSeconds(%d) = %d, want %d", ns, got, want)
		}
	}
}
