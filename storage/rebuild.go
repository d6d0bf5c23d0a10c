package storage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// RebuildOptions say what Rebuild does.
type RebuildOptions struct {
	// Path of the file, which must exist and be of the present schema.
	Path string
	// DryRun finds out what would change, and changes nothing.
	DryRun bool
	// Estimate also recomputes buckets of which only a sample of the requests
	// is kept, from the weights of these.
	Estimate bool
	// Holder says who holds the file meanwhile, to others that want to write it.
	Holder string
	// Progress is called now and then with how many of the requests are read,
	// and how many there are. nil: nobody is told.
	Progress func(read, all int64)
}

// Rebuilt says what Rebuild did, or would do.
type Rebuilt struct {
	// Requests is how many rows the buckets were recomputed from.
	Requests int64
	// CompleteFromUnixNano is the start from which on every span has its row;
	// math.MinInt64: any.
	CompleteFromUnixNano int64
	// EstimatedFromUnixNano is where buckets that are estimated begin; equal to
	// CompleteFromUnixNano where there are none.
	EstimatedFromUnixNano int64
	Widths                []RebuiltWidth // finest first
	// Objectives is how many counts for objectives were corrected, added or
	// removed.
	Objectives int64
	// Runs is how many rows of run and run_category were corrected.
	Runs int64
}

// Changed returns how many rows differ from before.
func (r *Rebuilt) Changed() int64 {
	n := r.Runs + r.Objectives
	for _, w := range r.Widths {
		n += w.Corrected + w.Added + w.Removed
	}
	return n
}

// RebuiltWidth says what became of the buckets of one width: of rows by category
// and by series together.
type RebuiltWidth struct {
	Seconds int64
	// FromUnix is the start of the first bucket that is recomputed, Unix seconds.
	FromUnix int64
	// Rows that are recomputed, of which Corrected and Added differ from before.
	Rows, Corrected, Added int64
	// Removed rows had no request.
	Removed int64
	// Left is how many older rows stay as they are.
	Left int64
}

// IncompleteError is returned by Rebuild where no bucket has all of its requests
// in the file.
type IncompleteError struct {
	// CompleteFromUnixNano is the start from which on every span has its row;
	// math.MaxInt64: none does.
	CompleteFromUnixNano int64
	Kept                 int64 // spans that are kept as requests
	Spans                int64 // that were folded
	Buckets              int64 // rows, which stay as they are
}

func (e *IncompleteError) Error() string {
	since := "not every span is kept as a request"
	if e.CompleteFromUnixNano < math.MaxInt64 {
		since = "requests are complete only from " + time.Unix(0, e.CompleteFromUnixNano).UTC().Format(time.RFC3339) + " on"
	}
	return fmt.Sprintf("%s: %d of the %d spans in %d buckets have a row", since, e.Kept, e.Spans, e.Buckets)
}

// Rebuild recomputes the buckets of the file at path from its requests, in one
// transaction, as they were folded one by one: all buckets whose requests are
// complete, whatever they say now. Older buckets stay as they are. It takes the
// lock of the file, and returns ErrLocked where a collector holds it; an
// IncompleteError where nothing is complete; ErrForeign, ErrNewer and ErrOlder
// for files that must not be touched.
//
// What the requests do not tell stays as it was: how many spans were late; and
// for the first 24 hours after requests began to be complete, how many spans
// completed in a bucket, where that is more than the requests know of: a span
// that began before may have ended there.
//
// With Estimate, buckets of sampled requests are recomputed too: each row is
// folded as often as its weight says, rounded up or down by a hash of the span,
// so that widths agree and sums are right on average. What is there is exact,
// and is replaced: this is for files whose buckets are lost. The meta rows
// estimated_from_s and estimated_to_s tell the interval.
func Rebuild(ctx context.Context, o RebuildOptions) (_ *Rebuilt, err error) {
	path, err := filepath.Abs(o.Path)
	if err == nil {
		path, err = existingFile(ctx, path)
	}
	if err == nil {
		path, err = filepath.EvalSymlinks(path) // a file has one lock
	}
	if err != nil {
		return nil, fmt.Errorf("rebuild: %w", err)
	}
	lock, err := lockFile(path, holderText(o.Holder, time.Now()))
	if err != nil {
		return nil, fmt.Errorf("rebuild: %w", err)
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	var rebuilt *Rebuilt
	err = maintainAnd(ctx, path, func(ctx context.Context, u *upkeep) (err error) {
		rebuilt, err = (&rebuild{upkeep: u, options: o}).run(ctx)
		return err
	}, truncate)
	if err != nil {
		return nil, fmt.Errorf("rebuild: %w", err)
	}
	return rebuilt, nil
}

// rebuild is one run of Rebuild.
type rebuild struct {
	*upkeep
	options RebuildOptions
	meta    *Meta
	// complete is the start from which on every span has its row, and from that
	// from which on rows are read; Unix nanoseconds.
	complete, from int64
	ranges         []rebuildRange
	kept, spans    int64 // rows, and spans that were folded and not purged
	done           Rebuilt
	// objectives are those that are configured; overflowed are the categories of
	// spans that tell not whether they count for one that is narrowed.
	objectives []aggregator.Objective
	overflowed [aggregator.NumCategories]bool
}

func (r *rebuild) run(ctx context.Context) (*Rebuilt, error) {
	if err := r.plan(ctx); err != nil {
		return nil, err
	}
	f, err := newRefolder(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.fold(ctx), f.close()); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{
		r.compareBuckets, r.rebuildObjectives, r.countLeft, func(ctx context.Context) error { return r.rebuildRuns(ctx, f.runs()) }, r.markEstimated,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return &r.done, nil
}
