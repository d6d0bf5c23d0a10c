package spans_test

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// TestTimes: a usable duration has 0 < start <= end and at most 24 h; a start
// more than 24 h ahead of the clock is rejected, and so is none.
func TestTimes(t *testing.T) {
	const (
		start  = uint64(1_769_767_200_000_000_000) // now
		second = uint64(time.Second)
		day    = uint64(24 * time.Hour)
		none   = -1 // no usable duration
	)
	if int64(start) != now.UnixNano() {
		t.Fatal("start is not now")
	}
	const (
		folded = aggregator.NotRejected
		future = aggregator.RejectedStartInFuture
	)
	tests := []struct {
		name       string
		start, end uint64
		duration   int64
		notes      aggregator.Note
		rejected   aggregator.Rejection
	}{
		{"in order", start, start + second, int64(second), 0, folded},
		{"no time at all", start, start, 0, 0, folded},
		{"a nanosecond", start, start + 1, 1, 0, folded},
		{"24 h", start, start + day, int64(day), 0, folded},
		{"24 h and a nanosecond", start, start + day + 1, none, aggregator.NoteDurationTooLong, folded},
		{"years", second, start, none, aggregator.NoteDurationTooLong, folded},
		{"the first nanosecond there is", 1, 2, 1, 0, folded},
		{"end before start", start, start - 1, none, aggregator.NoteEndBeforeStart, folded},
		{"end long before start", start, 1, none, aggregator.NoteEndBeforeStart, folded},
		{"no end", start, 0, none, aggregator.NoteNoEndTime, folded},
		{"end beyond int64", start, 1 << 63, none, aggregator.NoteDurationTooLong, folded},
		{"greatest end", start, math.MaxUint64, none, aggregator.NoteDurationTooLong, folded},
		{"no start", 0, start, none, 0, aggregator.RejectedNoStartTime},
		{"no times", 0, 0, none, 0, aggregator.RejectedNoStartTime},
		{"24 h ahead", start + day, start + day + second, int64(second), 0, folded},
		{"24 h and a nanosecond ahead", start + day + 1, start + day + second, none, 0, future},
		{"ahead and without end", start + 2*day, 0, none, 0, future},
		{"greatest int64", math.MaxInt64, math.MaxInt64, none, 0, future},
		{"beyond int64", 1 << 63, 1<<63 + second, none, 0, future},
		{"greatest uint64", math.MaxUint64, math.MaxUint64, none, 0, future},
		{"difference would wrap", math.MaxInt64, 1, none, 0, future},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			batch, span := spanOf(attributes{"service.name": "shop"}, nil)
			span.SetStartTimestamp(pcommon.Timestamp(test.start))
			span.SetEndTimestamp(pcommon.Timestamp(test.end))
			o := readOne(t, batch)
			if o.Rejected != test.rejected {
				t.Fatalf("rejected as %v, want %v", o.Rejected, test.rejected)
			}
			if test.rejected != folded {
				return
			}
			duration, usable := o.Measure(aggregator.MeasureDuration)
			if usable != (test.duration != none) || usable && duration != test.duration {
				t.Errorf("duration %d, %v; want %d", duration, usable, test.duration)
			}
			wantEnd := int64(0)
			if usable {
				wantEnd = int64(test.end)
			}
			if o.StartUnixNano != int64(test.start) || o.EndUnixNano != wantEnd || o.Notes != test.notes {
				t.Errorf("from %d to %d, notes %b; want %d, %d, %b",
					o.StartUnixNano, o.EndUnixNano, o.Notes, test.start, wantEnd, test.notes)
			}
		})
	}
}

// TestZeroIDs are noted, whichever of the two it is.
func TestZeroIDs(t *testing.T) {
	for _, test := range []struct {
		trace pcommon.TraceID
		span  pcommon.SpanID
		want  aggregator.Note
	}{
		{pcommon.TraceID{1}, pcommon.SpanID{1}, 0},
		{pcommon.TraceID{}, pcommon.SpanID{1}, aggregator.NoteZeroID},
		{pcommon.TraceID{1}, pcommon.SpanID{}, aggregator.NoteZeroID},
		{pcommon.TraceID{}, pcommon.SpanID{}, aggregator.NoteZeroID},
		{pcommon.TraceID{15: 1}, pcommon.SpanID{7: 1}, 0},
	} {
		batch, span := spanOf(attributes{"service.name": "shop"}, nil)
		span.SetTraceID(test.trace)
		span.SetSpanID(test.span)
		if got := readOne(t, batch).Notes; got != test.want {
			t.Errorf("trace %v, span %v: notes %b, want %b", test.trace, test.span, got, test.want)
		}
	}
}

// TestAdjustedCount: a span stands for 2^56/(2^56-threshold), where the trace
// state gives a threshold; for one where it gives none or is not understood.
func TestAdjustedCount(t *testing.T) {
	const noted = aggregator.NoteInvalidTraceState
	rv := "rv:d29d6a7215ced0"
	tests := []struct {
		state    string
		micro    int64
		notes    aggregator.Note
		rejected bool
	}{
		{"", 1_000_000, 0, false},
		{"ot=th:8", 2_000_000, 0, false},
		{"ot=th:c", 4_000_000, 0, false},
		{"ot=th:0", 1_000_000, 0, false},
		{"ot=th:80", 2_000_000, 0, false},
		{"ot=th:80000000000000", 2_000_000, 0, false},
		{"ot=th:4", 1_333_333, 0, false},
		{"ot=th:55555555555555", 1_500_000, 0, false},
		{"ot=th:fff", 4_096_000_000, 0, false},
		{"ot=th:fd70a3d70a3d71", 100_000_000, 0, false},
		{"ot=" + rv, 1_000_000, 0, false},
		{"ot=" + rv + ";th:8", 2_000_000, 0, false},
		{"ot=th:8;" + rv + ";other:value", 2_000_000, 0, false},
		{"congo=t61rcWkgMzE,ot=th:8,rojo=00f067aa0ba902b7", 2_000_000, 0, false},
		{"congo=t61rcWkgMzE , ot=th:8", 2_000_000, 0, false},
		{"congo=t61rcWkgMzE", 1_000_000, 0, false},
		{"robot=th:8", 1_000_000, 0, false},
		{"ot@vendor=th:8", 1_000_000, 0, false},
		{"congo=ot=th:8", 1_000_000, noted, false},
		{"ot=", 1_000_000, noted, false},
		{"ot=th", 1_000_000, noted, false},
		{"ot=th:", 1_000_000, noted, false},
		{"ot=th:zz", 1_000_000, noted, false},
		{"ot=th:C", 4_000_000, 0, false}, // upper case is read, too
		{"ot=th:-8", 1_000_000, noted, false},
		{"ot=th:8;", 1_000_000, noted, false},
		{"ot=th:fffffffffffffff", 1_000_000, noted, false},
		{"ot=th:\xff\x00", 1_000_000, noted, false},
		{"ot=th:" + strings.Repeat("f", 1<<20), 1_000_000, noted, false},
		{strings.Repeat("a=b,", 100_000) + "ot=th:8", 1_000_000, noted, false},
		{"=,;=;", 1_000_000, 0, false},                             // no threshold in sight
		{"ot=th:ffffffffffe", 8_796_093_022_208_000_000, 0, false}, // 2^43, the most that fits
		{"ot=th:fffffffffff", 0, 0, true},                          // 2^44
		{"ot=th:fffffffffff0bd", 0, 0, true},                       // the quotient has 65 bits …
		{"ot=th:fffffffffff0be", 0, 0, true},
		{"ot=th:fffffffffff0bf", 0, 0, true}, // … or more
		{"ot=th:ffffffffffffff", 0, 0, true}, // 2^56
	}
	for _, test := range tests {
		batch, span := spanOf(attributes{"service.name": "shop"}, nil)
		span.TraceState().FromRaw(test.state)
		got := readOne(t, batch)
		name := test.state[:min(len(test.state), 60)]
		if (got.Rejected == aggregator.RejectedOverflow) != test.rejected || (got.Rejected != aggregator.NotRejected) != test.rejected {
			t.Errorf("%q: rejected as %v", name, got.Rejected)
		}
		if !test.rejected && (got.AdjustedMicro != test.micro || got.Notes != test.notes) {
			t.Errorf("%q: stands for %d millionths, notes %b; want %d, %b", name, got.AdjustedMicro, got.Notes, test.micro, test.notes)
		}
	}
}

// TestAdjustedCountOfAnyThreshold compares with rational numbers, rounded to
// the nearest millionth.
func TestAdjustedCountOfAnyThreshold(t *testing.T) {
	random := seedtest.Rand(t)
	batch, span := spanOf(attributes{"service.name": "shop"}, nil)
	one := new(big.Int).Lsh(big.NewInt(1), 56)
	for range 5000 {
		threshold := random.Uint64N(1<<56-1<<14) >> random.UintN(56)
		if random.IntN(2) == 0 {
			threshold = 1<<56 - 1<<14 - 1 - threshold
		}
		digits := strconv.FormatUint(threshold|1<<56, 16)[1:]
		span.TraceState().FromRaw("ot=th:" + strings.TrimRight(digits[:13], "0") + digits[13:])
		if digits[13] == '0' || strings.HasSuffix(digits[:13], "0") {
			span.TraceState().FromRaw("ot=th:" + digits)
		}
		// floor(x + 1/2) with x = 10^6 * 2^56 / (2^56 - T)
		accepted := new(big.Int).Sub(one, new(big.Int).SetUint64(threshold))
		want := new(big.Int).Mul(one, big.NewInt(1_000_000))
		want.Add(want, new(big.Int).Rsh(accepted, 1)).Quo(want, accepted)
		if got := readOne(t, batch); !want.IsInt64() || got.AdjustedMicro != want.Int64() || got.Notes != 0 {
			t.Fatalf("threshold %s: %d millionths, notes %b; want %v", digits, got.AdjustedMicro, got.Notes, want)
		}
	}
}
