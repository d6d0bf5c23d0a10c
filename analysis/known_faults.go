package analysis

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sort"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// knownFaults are the windows in which something was expected to go wrong.
type knownFaults struct {
	windows []FaultWindow // by start
	// merged are the seconds [from, to) that they touch, ascending, apart from
	// each other.
	merged []extentS
}

// extentS is an interval [from, to) of Unix seconds.
type extentS struct{ from, to int64 }

// readKnownFaults reads the windows that concern the runs of q; none from a
// file of a schema without.
func readKnownFaults(ctx context.Context, tx *sql.Tx, q Query) (*knownFaults, error) {
	all, err := AskFaultWindows(ctx, tx)
	if errors.Is(err, storage.ErrOlder) {
		return &knownFaults{}, nil
	}
	if err != nil {
		return nil, err
	}
	f := &knownFaults{windows: slices.DeleteFunc(all.Rows, func(w FaultWindow) bool {
		return q.Run != nil && w.RunID != "" && w.RunID != *q.Run
	})}
	for i := range f.windows {
		from, to := f.windows[i].seconds()
		if n := len(f.merged); n > 0 && f.merged[n-1].to >= from {
			f.merged[n-1].to = max(f.merged[n-1].to, to)
			continue
		}
		f.merged = append(f.merged, extentS{from, to})
	}
	return f, nil
}

// seconds returns the whole seconds that a window touches: at least one.
func (w *FaultWindow) seconds() (from, to int64) {
	return aggregator.UnixSeconds(w.StartNS), aggregator.UnixSeconds(max(w.EndNS-1, w.StartNS)) + 1
}

// touch tells whether a window touches [from, to), Unix seconds.
func (f *knownFaults) touch(from, to int64) bool {
	i := sort.Search(len(f.merged), func(i int) bool { return f.merged[i].to > from })
	return i < len(f.merged) && f.merged[i].from < to
}

// during returns the faults whose windows touch [from, to), Unix seconds: each
// once, in alphabetical order.
func (f *knownFaults) during(from, to int64) []string {
	names := []string{}
	if !f.touch(from, to) {
		return names
	}
	for i := range f.windows {
		if first, last := f.windows[i].seconds(); first < to && last > from {
			names = append(names, f.windows[i].Fault)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// outside returns the parts of [from, to), Unix seconds, that keep slackS clear
// of every window; their inner edges are multiples of slackS.
func (f *knownFaults) outside(from, to, slackS int64) (parts []extentS) {
	for _, w := range f.merged {
		begin := aggregator.BucketStart(w.from-1, slackS)
		if end := min(begin, to); end > from {
			parts = append(parts, extentS{from, end})
		}
		from = max(from, ceilTo(w.to+1, slackS))
	}
	if from < to {
		parts = append(parts, extentS{from, to})
	}
	return parts
}
