package analysis

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// sample is a Sample as it is in the file.
type sample struct {
	at          int64 // start of the request, or of its bucket, Unix nanoseconds
	trace, span []byte
	source      string
}

// compareSamples puts the newest first; between those of one instant, the
// lower ids.
func compareSamples(a, b sample) int {
	return cmp.Or(cmp.Compare(b.at, a.at), bytes.Compare(a.trace, b.trace), bytes.Compare(a.span, b.span))
}

func newestSamples(of []aggregator.SeriesID, samples map[aggregator.SeriesID][]sample) []Sample {
	var all []sample
	for _, id := range of {
		all = append(all, samples[id]...)
	}
	return newest(all)
}

// newest returns the newest of samples, as many as a row has.
func newest(all []sample) []Sample {
	slices.SortFunc(all, compareSamples)
	few := []Sample{}
	for _, s := range all[:min(len(all), samplesPerRow)] {
		few = append(few, Sample{hex.EncodeToString(s.trace), hex.EncodeToString(s.span), s.source})
	}
	return few
}

// maxRowsForSamples bounds how many rows of requests are looked at for samples.
const maxRowsForSamples = 50_000

// readSamples finds samples of series: the newest requests that are kept, and
// for groups without any, the slowest of their newest buckets.
func (r *reading) readSamples(
	ctx context.Context, tx *sql.Tx, failed map[aggregator.SeriesID]*seriesSum, groupings ...map[string]*failure,
) (map[aggregator.SeriesID][]sample, error) {
	samples := map[aggregator.SeriesID][]sample{}
	if len(failed) == 0 {
		return samples, nil
	}
	if err := r.sampleRequests(ctx, tx, failed, samples); err != nil {
		return nil, fmt.Errorf("read samples: %w", err)
	}
	bare := map[aggregator.SeriesID]bool{}
	for _, groups := range groupings {
		for _, f := range groups {
			if len(newestSamples(f.series, samples)) == 0 {
				for _, id := range f.series {
					bare[id] = true
				}
			}
		}
	}
	if err := r.sampleBuckets(ctx, tx, bare, samples); err != nil {
		return nil, fmt.Errorf("read samples: %w", err)
	}
	return samples, nil
}

// nanoseconds returns the interval that was read, in Unix nanoseconds.
func (s *Scope) nanoseconds() (from, to int64) {
	n := len(s.Segments)
	if n == 0 {
		return 0, 0
	}
	return saturated(s.Segments[0].From), saturated(s.Segments[n-1].To)
}

// saturated turns Unix seconds into nanoseconds, the nearest that there are.
func saturated(seconds int64) int64 {
	return min(max(seconds, math.MinInt64/1_000_000_000), math.MaxInt64/1_000_000_000) * 1_000_000_000
}

// failedBits are what request.kept has where a request is kept and failed. Bit 8
// is that of requests that failed, carry a fault or were slow; older schemas do
// not have it.
func (r *reading) failedBits() int {
	if r.meta.SchemaVersion < firstWithWeights {
		return 1
	}
	return 9
}

func (r *reading) sampleRequests(
	ctx context.Context, tx *sql.Tx, failed map[aggregator.SeriesID]*seriesSum, samples map[aggregator.SeriesID][]sample,
) error {
	if r.meta.SchemaVersion < firstWithRequests {
		return nil
	}
	bits := r.failedBits()
	from, to := r.scope.nanoseconds()
	const query = `SELECT series_id, start_ns, trace_id, span_id FROM request
		WHERE start_ns >= ? AND start_ns < ? AND kept & ? = ? AND trace_id <> zeroblob(16)
		ORDER BY start_ns DESC, trace_id, span_id LIMIT ?`
	rows, err := tx.QueryContext(ctx, query, from, to, bits, bits, maxRowsForSamples)
	if err != nil {
		return err
	}
	defer rows.Close()
	for open := len(failed); open > 0 && rows.Next(); {
		var id aggregator.SeriesID
		s := sample{source: "request"}
		if err := rows.Scan(&id, &s.at, &s.trace, &s.span); err != nil {
			return err
		}
		if _, ok := failed[id]; !ok || len(samples[id]) == samplesPerRow {
			continue
		}
		samples[id] = append(samples[id], s)
		if len(samples[id]) == samplesPerRow {
			open--
		}
	}
	return rows.Err()
}

func (r *reading) sampleBuckets(
	ctx context.Context, tx *sql.Tx, wanted map[aggregator.SeriesID]bool, samples map[aggregator.SeriesID][]sample,
) error {
	if len(wanted) == 0 {
		return nil
	}
	list, err := seriesList(wanted)
	if err != nil {
		return err
	}
	const query = `SELECT series_id, bucket_start, slowest_trace_id, slowest_span_id FROM series_bucket
		WHERE width_s = ? AND bucket_start >= ? AND bucket_start < ? AND series_id IN (SELECT value FROM json_each(?))
			AND slowest_trace_id <> zeroblob(16)
		ORDER BY bucket_start DESC, series_id`
	open := len(wanted) // so many still want some
	for _, segment := range slices.Backward(r.scope.Segments) {
		args := []any{segment.WidthS, segment.From, segment.To, list}
		if err := eachSample(ctx, tx, query, args, samples, &open); err != nil {
			return err
		}
	}
	return nil
}

func eachSample(
	ctx context.Context, tx *sql.Tx, query string, args []any, samples map[aggregator.SeriesID][]sample, open *int,
) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for *open > 0 && rows.Next() {
		var id aggregator.SeriesID
		s := sample{source: "bucket"}
		if err := rows.Scan(&id, &s.at, &s.trace, &s.span); err != nil {
			return err
		}
		s.at = saturated(s.at)
		if len(samples[id]) == samplesPerRow {
			continue
		}
		samples[id] = append(samples[id], s)
		if len(samples[id]) == samplesPerRow {
			*open--
		}
	}
	return rows.Err()
}
