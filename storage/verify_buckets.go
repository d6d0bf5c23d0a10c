package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// stream reads the rows of one width of one table, by time.
type stream struct {
	table *bucketTable
	width int64 // seconds
	// narrower and wider are the next widths of the table; 0 for none.
	narrower, wider int64
	rows            *sql.Rows
	row             *rawRow // the present one; nil at the end

	// merged is what the narrower rows of the present bucket add up to; nil for
	// the finest width.
	merged *bucketSums
	// split is what the rows by series of the present bucket add up to by run
	// and category; nil where there are none.
	split *bucketSums
	// keptFrom: buckets before may have been pruned.
	keptFrom int64
}

// rawKey names a row within its bucket.
type rawKey struct {
	run, category string
	series        int64
}

func (k rawKey) compare(o rawKey) int {
	return cmp.Or(cmp.Compare(k.run, o.run), cmp.Compare(k.category, o.category), cmp.Compare(k.series, o.series))
}

func (r *rawRow) key() rawKey { return rawKey{r.run, r.category, r.series} }

// start and end are those of the present bucket, also for a row that is not
// aligned.
func (s *stream) start() int64 { return aggregator.BucketStart(s.row.start, s.width) }

func (s *stream) end() int64 { return s.start() + s.width }

func (s *stream) next() error {
	if !s.rows.Next() {
		s.row = nil
		return s.rows.Err()
	}
	if err := s.rows.Scan(s.row.into...); err != nil {
		return fmt.Errorf("%s: %w", s.table.name, err)
	}
	return nil
}

// checkBuckets reads both bucket tables once, all widths side by side in the
// order in which buckets end: narrower ones before the wider one they lie in,
// rows by series before the headline.
func (v *verifier) checkBuckets(ctx context.Context) (err error) {
	if err := v.checkWidths(ctx); err != nil {
		return err
	}
	streams, err := v.openStreams(ctx)
	defer func() {
		for _, s := range streams {
			err = errors.Join(err, s.rows.Close())
		}
	}()
	if err != nil {
		return err
	}
	return v.checkStreams(streams)
}

func (v *verifier) checkStreams(streams []*stream) error {
	for {
		first := -1
		for i, s := range streams {
			if s.row != nil && (first < 0 || s.end() < streams[first].end()) {
				first = i
			}
		}
		if first < 0 {
			break
		}
		if err := v.checkBucket(streams, streams[first]); err != nil {
			return err
		}
	}
	for _, s := range streams {
		if err := v.finishBucket(s, math.MaxInt64); err != nil {
			return err
		}
	}
	return nil
}

// checkWidths reports rows of widths that no stream will read.
func (v *verifier) checkWidths(ctx context.Context) error {
	for _, t := range []*bucketTable{seriesTable, headlineTable} {
		known := v.knownWidths(t)
		if err := v.each(ctx, "SELECT width_s, count(*) FROM "+t.name+" GROUP BY width_s", func(rows *sql.Rows) error {
			var width, count int64
			if err := rows.Scan(&width, &count); err != nil || known[width] {
				return err
			}
			return v.report(Problem{
				Relation: t.name, Row: fmt.Sprintf("width_s=%d (%d rows)", width, count), Column: "width_s",
				Rule: ruleWidth, Stored: fmt.Sprint(width), Expected: v.values["widths"],
			})
		}); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) knownWidths(t *bucketTable) map[int64]bool {
	known := map[int64]bool{}
	for _, w := range v.meta.Widths {
		if t == headlineTable || w.Detail == DetailSeries {
			known[w.Seconds] = true
		}
	}
	return known
}

// openStreams begins to read every width of both tables: of streams that end
// together, the one that comes first here is read first.
func (v *verifier) openStreams(ctx context.Context) (streams []*stream, err error) {
	if v.completeFrom, err = CompleteFrom(ctx, v.tx, v.meta); err != nil {
		return nil, err
	}
	for _, t := range []*bucketTable{seriesTable, headlineTable} {
		var narrower *stream
		for _, w := range v.meta.Widths {
			if t == seriesTable && w.Detail != DetailSeries {
				continue
			}
			s := &stream{table: t, width: w.Seconds, row: newRawRow(t), keptFrom: v.keptFrom(w)}
			if narrower != nil {
				narrower.wider, s.narrower = s.width, narrower.width
				s.merged = newBucketSums(max(s.keptFrom, narrower.keptFrom))
			}
			if t == headlineTable && w.Detail == DetailSeries {
				s.split = newBucketSums(s.keptFrom)
			}
			const order = "b.width_s = ? ORDER BY b.bucket_start"
			//nolint:rowserrcheck // stream.next checks it
			if s.rows, err = v.tx.QueryContext(ctx, t.rawSQL(order), w.Seconds); err != nil {
				return streams, err
			}
			streams = append(streams, s)
			if err := s.next(); err != nil {
				return streams, err
			}
			narrower = s
		}
	}
	return streams, nil
}

// keptFrom returns the Unix second from which on no bucket of a width can have
// been pruned.
func (v *verifier) keptFrom(w Width) int64 {
	if from, pruned := v.completeFrom[w.Seconds]; pruned {
		return from
	}
	return math.MinInt64
}
