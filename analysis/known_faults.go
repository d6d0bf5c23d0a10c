package analysis

import (
	"cmp"
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
	windows []knownWindow // by start
	// merged are the seconds [from, to) that they touch, ascending, apart from
	// each other.
	merged []extentS
}

// extentS is an interval [from, to) of Unix seconds.
type extentS struct{ from, to int64 }

// knownWindow is a window with the fault that it is part of.
type knownWindow struct {
	extentS
	fault string
}

// readKnownFaults reads the windows that concern the runs of q; none from a
// file of a schema without. all are those of the file; nil: they are read.
func readKnownFaults(ctx context.Context, tx *sql.Tx, q Query, all *FaultWindows) (*knownFaults, error) {
	f := &knownFaults{}
	if all == nil {
		var err error
		all, err = AskFaultWindows(ctx, tx)
		if errors.Is(err, storage.ErrOlder) {
			return f, nil
		}
		if err != nil {
			return nil, err
		}
	}
	runs, err := readRunExtents(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, g := range groupFaults(all.Rows, runs) {
		if q.Run != nil && g.run != "" && g.run != *q.Run {
			continue
		}
		for _, w := range g.windows {
			from, to := w.seconds()
			f.windows = append(f.windows, knownWindow{extentS{from, to}, g.fault})
		}
	}
	slices.SortFunc(f.windows, func(a, b knownWindow) int { return cmp.Compare(a.from, b.from) })
	for _, w := range f.windows {
		from, to := w.from, w.to
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
		if w := &f.windows[i]; w.from < to && w.to > from {
			names = append(names, w.fault)
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
