package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// outcomes are the outcome columns of timeseries, without their prefix.
var outcomes = []string{
	"success", "rate_limited", "capacity_error", "server_error", "client_error", "connection_error",
	"malformed", "cancelled", "circuit_open", "other_error",
}

// sums is what a set of spans comes to, computed from the spans themselves.
type sums struct {
	requests, completed, usage int64
	outcomes                   map[string]int64
	durations, ttfts           []int64
	input, output              int64
	slowest                    *sent
}

func (s *sums) add(o *sent) {
	s.requests++
	s.outcomes[o.series.outcome]++
	if o.usable {
		s.durations = append(s.durations, o.end-o.start)
		if s.slowest == nil || slower(o, s.slowest) {
			s.slowest = o
		}
	}
	if o.ttft >= 0 {
		s.ttfts = append(s.ttfts, o.ttft)
	}
	if o.input >= 0 {
		s.usage++
		s.input += o.input
		s.output += max(o.output, 0)
	}
}

// slower orders by duration, ties by the lower trace id, then span id.
func slower(a, b *sent) bool {
	if da, db := a.end-a.start, b.end-b.start; da != db {
		return da > db
	}
	return a.traceID+a.spanID < b.traceID+b.spanID
}

// group adds the spans up by a key. completedIn, where given, is the key that
// a span's end counts under.
func group[K comparable](spans []sent, key func(*sent) K, completedIn func(*sent) K) map[K]*sums {
	groups := map[K]*sums{}
	at := func(k K) *sums {
		if groups[k] == nil {
			groups[k] = &sums{outcomes: map[string]int64{}}
		}
		return groups[k]
	}
	for i := range spans {
		at(key(&spans[i])).add(&spans[i])
		if completedIn != nil && spans[i].usable {
			at(completedIn(&spans[i])).completed++
		}
	}
	return groups
}

// row is a row of an answer of the sqlite3 shell.
type row map[string]any

// ask runs a query in Debian's sqlite3 shell.
func ask(t *testing.T, path, query string) []row {
	t.Helper()
	command := exec.Command("sqlite3", "-json", path, query)
	var errors strings.Builder
	command.Stderr = &errors
	output, err := command.Output()
	require.NoError(t, err, "%s\n%s", query, errors.String())
	var rows []row
	if len(output) > 0 {
		decoder := json.NewDecoder(strings.NewReader(string(output)))
		decoder.UseNumber() // int64 do not fit a float64
		require.NoError(t, decoder.Decode(&rows), "%s\n%s", query, output)
	}
	return rows
}

func (r row) text(column string) string {
	if r[column] == nil {
		return ""
	}
	return fmt.Sprint(r[column])
}

func (r row) integer(t *testing.T, column string) int64 {
	t.Helper()
	number, ok := r[column].(json.Number)
	require.True(t, ok, "%s is %v", column, r[column])
	n, err := number.Int64()
	require.NoError(t, err, column)
	return n
}

// expectNumber compares an integer column; NULL counts as 0 only where the
// expected sum is over nothing.
func (r row) expectNumber(t *testing.T, column string, want int64) {
	t.Helper()
	require.Contains(t, r, column)
	if r[column] == nil && want == 0 {
		return
	}
	assert.Equal(t, want, r.integer(t, column), "%s of %v", column, r)
}

// expectMillis compares a column in milliseconds with a value in nanoseconds;
// relative is the error allowed.
func (r row) expectMillis(t *testing.T, column string, wantNano, relative float64) {
	t.Helper()
	require.Contains(t, r, column)
	number, ok := r[column].(json.Number)
	require.True(t, ok, "%s is %v", column, r[column])
	got, err := number.Float64()
	require.NoError(t, err)
	// The shell prints 15 digits.
	assert.InDelta(t, wantNano/1e6, got, math.Abs(wantNano/1e6)*(relative+1e-13), "%s of %v", column, r)
}

// binError is the largest relative error of a percentile.
const binError = 1.0 / 128

// expectLatency compares the columns about durations or times to first chunk.
func (r row) expectLatency(t *testing.T, name string, values []int64, exactBounds bool, percentiles ...int) {
	t.Helper()
	r.expectNumber(t, name+"_count", int64(len(values)))
	if len(values) == 0 {
		for _, p := range percentiles {
			assert.Nil(t, r[fmt.Sprintf("p%d_%s_ms", p, name)])
		}
		assert.Nil(t, r["avg_"+name+"_ms"])
		return
	}
	values = sortedCopy(values)
	sum := int64(0)
	for _, v := range values {
		sum += v
	}
	lowest, highest := values[0], values[len(values)-1]
	r.expectNumber(t, "sum_"+name+"_ns", sum)
	r.expectMillis(t, "avg_"+name+"_ms", float64(sum)/float64(len(values)), 0)
	if exactBounds {
		r.expectMillis(t, "min_"+name+"_ms", float64(lowest), 0)
		r.expectMillis(t, "max_"+name+"_ms", float64(highest), 0)
	}
	for _, p := range percentiles {
		column := fmt.Sprintf("p%d_%s_ms", p, name)
		r.expectMillis(t, column, float64(nearestRank(values, p)), binError)
		got, err := r[column].(json.Number).Float64()
		require.NoError(t, err)
		assert.GreaterOrEqual(t, got, float64(lowest)/1e6*(1-1e-13), column)
		assert.LessOrEqual(t, got, float64(highest)/1e6*(1+1e-13), column)
	}
}

// nearestRank returns the value of rank ceil(p% of n) of sorted values.
func nearestRank(sorted []int64, percent int) int64 {
	return sorted[(percent*len(sorted)+99)/100-1]
}

func sortedCopy(values []int64) []int64 { return slices.Sorted(slices.Values(values)) }
