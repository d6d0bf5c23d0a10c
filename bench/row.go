package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/internal/spantest"
)

// subject is what a row measures.
type subject interface {
	// prepare is called before consume, outside the measured time.
	prepare(traces ptrace.Traces) error
	// consume is measured. With several callers it is called concurrently.
	consume(ctx context.Context, traces ptrace.Traces) error
	close() error
}

// row is one line of the table.
type row struct {
	key     string
	title   string
	callers int // goroutines that call consume
	build   func(ctx context.Context, dir string) (subject, error)
	peer    string // key of the row it is compared with; empty: none
	limits  map[string]limits
}

// limits are what a row has to reach, by profile. Zero means none.
type limits struct {
	target, goal float64 // ratio to the peer
	allocations  float64 // per span
}

const manyCallers = 16

var (
	foldLimits = map[string]limits{
		spantest.Dense.Name: {target: 1.0 / 3, goal: 1.0 / 5, allocations: 0.1},
		spantest.Wide.Name:  {target: 1.0 / 3, goal: 1.0 / 4, allocations: 0.1},
	}
	consumeLimits = map[string]limits{
		spantest.Dense.Name: {target: 3.0 / 4, goal: 1.0 / 2},
		spantest.Wide.Name:  {target: 5, goal: 3},
	}
	requestLimits = map[string]limits{
		spantest.Dense.Name: {target: 5, goal: 4},
	}
	concurrentLimits = map[string]limits{
		spantest.Dense.Name: {target: 3.0 / 4, goal: 1.0 / 2},
		spantest.Wide.Name:  {target: 1, goal: 3.0 / 4},
	}
)

var rows = []row{
	{key: "walk", title: "floor: walk over the attributes", callers: 1, build: newWalk, peer: "peer"},
	{key: "unmarshal", title: "floor: protobuf unmarshalling", callers: 1, build: newUnmarshal, peer: "peer"},
	{key: "peer", title: "spanmetrics", callers: 1, build: newPeer},
	{key: "fold", title: "spanbucket, folding", callers: 1, build: newFold, peer: "peer", limits: foldLimits},
	{key: "prices", title: "  with prices and two dimensions", callers: 1, build: newPricedFold, peer: "peer", limits: foldLimits},
	{key: "consume", title: "spanbucket, committed", callers: 1, build: newExporter, peer: "peer", limits: consumeLimits},
	{key: "repeats", title: "  without deduplication", callers: 1, build: newKeeping(withRepeats), peer: "peer"},
	{key: "sessions", title: "  and sessions kept", callers: 1, build: newKeeping(withSessions), peer: "peer"},
	{key: "requests", title: "  and every request kept", callers: 1, build: newKeeping(everyRequest), peer: "peer", limits: requestLimits},
	{key: "sampled", title: "  and 1 % of requests kept", callers: 1, build: newKeeping(fewRequests), peer: "peer"},
	{key: "caused", title: "  and what is for cause", callers: 1, build: newKeeping(fewAndCause), peer: "peer"},
	{key: "stamp16", title: "stamping (in the rows below)", callers: manyCallers, build: newNothing, peer: "peer16"},
	{key: "peer16", title: "spanmetrics, 16 callers", callers: manyCallers, build: newPeer},
	{
		key: "consume16", title: "spanbucket, committed, 16 callers", callers: manyCallers, build: newExporter,
		peer: "peer16", limits: concurrentLimits,
	},
}

// selected returns the rows with the given keys and the rows these are compared
// with; all without keys.
func selected(keys []string) ([]row, error) {
	if len(keys) == 0 {
		return rows, nil
	}
	want := map[string]bool{}
	for _, key := range keys {
		i := slices.IndexFunc(rows, func(r row) bool { return r.key == key })
		if i < 0 {
			return nil, fmt.Errorf("choose rows: %q: no such row", key)
		}
		want[key] = true
		want[rows[i].peer] = true
	}
	var some []row
	for _, r := range rows {
		if want[r.key] {
			some = append(some, r)
		}
	}
	return some, nil
}

// contestant is a row at work on one profile.
type contestant struct {
	row
	subject subject
	sent    int // batches so far
	costs   []cost
}

// cost is what one measurement found, per span.
type cost struct {
	nanoseconds float64
	allocations float64
	bytes       float64
}

// batchEvery is the time one batch covers, and so the distance of two.
const batchEvery = time.Second
