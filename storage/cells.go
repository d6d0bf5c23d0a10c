package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

// CellFilter selects rows of one width.
type CellFilter struct {
	Width int64 // seconds
	// From and To bound bucket_start: From <= bucket_start < To, Unix seconds.
	From, To   int64
	Run        *string               // nil: every run
	Categories []aggregator.Category // empty: every category
	// Faulty selects only series that carry a fault; by series only.
	Faulty bool
}

// HeadlineRow is a row of the headline with its histograms.
type HeadlineRow struct {
	Width int64 // seconds
	aggregator.HeadlineKey
	Cell aggregator.Cell
}

// SeriesRow is a row by series with its histograms.
type SeriesRow struct {
	Width       int64 // seconds
	BucketStart int64 // Unix seconds
	Series      aggregator.SeriesID
	Cell        aggregator.Cell
}

// HeadlineRows streams the rows of the headline that f selects, in no
// particular order. Histograms are checked against the figures beside them.
func HeadlineRows(ctx context.Context, q Querier, f CellFilter) iter.Seq2[HeadlineRow, error] {
	return func(yield func(HeadlineRow, error) bool) {
		where, args := f.Condition(false)
		err := eachRawRow(ctx, q, headlineTable, where, args, func(r *rawRow) error {
			cell, err := r.cell()
			if err != nil {
				return err
			}
			category, ok := aggregator.ParseCategory(r.category)
			if !ok {
				return fmt.Errorf("%s %d: unknown category %q", r.table.name, r.id, r.category)
			}
			key := aggregator.HeadlineKey{Run: r.run, Category: category, BucketStart: r.start}
			return goOn(yield(HeadlineRow{r.width, key, cell}, nil))
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(HeadlineRow{}, fmt.Errorf("read headline: %w", err))
		}
	}
}

// SeriesRows streams the rows by series that f selects, in no particular
// order. Histograms are checked against the figures beside them.
func SeriesRows(ctx context.Context, q Querier, f CellFilter) iter.Seq2[SeriesRow, error] {
	return func(yield func(SeriesRow, error) bool) {
		where, args := f.Condition(true)
		err := eachRawRow(ctx, q, seriesTable, where, args, func(r *rawRow) error {
			cell, err := r.cell()
			if err != nil {
				return err
			}
			return goOn(yield(SeriesRow{r.width, r.start, aggregator.SeriesID(r.series), cell}, nil))
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(SeriesRow{}, fmt.Errorf("read series: %w", err))
		}
	}
}

// errStop ends a scan whose consumer has had enough.
var errStop = errors.New("stop")

func goOn(more bool) error {
	if more {
		return nil
	}
	return errStop
}

// Condition returns the SQL condition of f, and the values to bind, for rows of
// headline_bucket or, where bySeries, of series_bucket, named b.
func (f *CellFilter) Condition(bySeries bool) (string, []any) {
	run, category := "b.run_id", "b.category"
	if bySeries {
		run = "(SELECT s.run_id FROM series AS s WHERE s.series_id = b.series_id)"
		category = "(SELECT s.category FROM series AS s WHERE s.series_id = b.series_id)"
	}
	text := "b.width_s = ? AND b.bucket_start >= ? AND b.bucket_start < ?"
	args := []any{f.Width, f.From, f.To}
	if f.Run != nil {
		text += " AND " + run + " = ?"
		args = append(args, *f.Run)
	}
	if len(f.Categories) > 0 {
		text += " AND " + category + " IN (?" + strings.Repeat(", ?", len(f.Categories)-1) + ")"
		for _, c := range f.Categories {
			args = append(args, c.String())
		}
	}
	if f.Faulty && bySeries {
		text += " AND b.series_id IN (SELECT s.series_id FROM series AS s WHERE s.fault <> '')"
	}
	return text, args
}

// rawRow is a row of a bucket table as it is in the file, with its histograms,
// nothing of it checked.
type rawRow struct {
	table         *bucketTable
	id            int64
	width, start  int64
	run, category string // of the headline
	series        int64  // of the other
	version       int64
	counters      [aggregator.NumCounters]int64
	figures       [aggregator.NumMeasures][8]sql.NullInt64 // as figureColumns
	texts         [aggregator.NumMeasures]sql.NullString
	traceID       sql.RawBytes
	spanID        sql.RawBytes
	histograms    sql.NullInt64 // id of the row of histograms; NULL: it is missing
	into          []any
}

func newRawRow(t *bucketTable) *rawRow {
	r := &rawRow{table: t}
	r.into = append(r.into, &r.id, &r.width, &r.start)
	if t == headlineTable {
		r.into = append(r.into, &r.run, &r.category)
	} else {
		r.into = append(r.into, &r.series)
	}
	r.into = append(r.into, &r.version)
	for i := range r.counters[:t.counters] {
		r.into = append(r.into, &r.counters[i])
	}
	for _, m := range t.measures {
		for i := range r.figures[m.measure] {
			r.into = append(r.into, &r.figures[m.measure][i])
		}
	}
	r.into = append(r.into, &r.traceID, &r.spanID, &r.histograms)
	for _, m := range t.measures {
		r.into = append(r.into, &r.texts[m.measure])
	}
	return r
}

// rawSQL selects the columns of a rawRow; where may name the table b and what
// follows the condition.
func (t *bucketTable) rawSQL(where string) string {
	columns := make([]string, 0, 64)
	for _, c := range append(t.keyColumns(), t.valueColumns(allChanges)...) {
		columns = append(columns, "b."+c)
	}
	columns = append(columns, "h.bucket_id")
	for _, c := range t.histogramColumns(allChanges) {
		columns = append(columns, "h."+c)
	}
	return fmt.Sprintf("SELECT %s FROM %s AS b LEFT JOIN %s AS h ON h.bucket_id = b.id WHERE %s",
		strings.Join(columns, ", "), t.name, t.histograms, where)
}

// eachRawRow calls scan for every row that where selects. The row is reused.
func eachRawRow(ctx context.Context, q Querier, t *bucketTable, where string, args []any, scan func(*rawRow) error) error {
	rows, err := q.QueryContext(ctx, t.rawSQL(where), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	r := newRawRow(t)
	for rows.Next() {
		if err := rows.Scan(r.into...); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		if err := scan(r); err != nil {
			return err
		}
	}
	return rows.Err()
}

// stats are the figures that a histogram is checked against.
func (r *rawRow) stats(m aggregator.Measure) histogram.Stats {
	f := &r.figures[m]
	return histogram.Stats{Count: f[0].Int64, Sum: f[1].Int64, Min: f[2].Int64, Max: f[3].Int64}
}

// cell decodes the row.
func (r *rawRow) cell() (aggregator.Cell, error) {
	cell := aggregator.Cell{Counters: r.counters}
	for _, m := range r.table.measures {
		stats := r.stats(m.measure)
		if stats.Count == 0 && !r.texts[m.measure].Valid {
			continue
		}
		var err error
		if cell.Measures[m.measure], err = histogram.Parse(r.texts[m.measure].String, stats); err != nil {
			return cell, fmt.Errorf("%s %d: %s: %w", r.table.name, r.id, m.measure, err)
		}
	}
	if len(r.traceID) == 16 && len(r.spanID) == 8 {
		longest := cell.Measures[aggregator.MeasureDuration].Max()
		cell.Slowest = aggregator.NewSlowest(longest, [16]byte(r.traceID), [8]byte(r.spanID))
	}
	return cell, nil
}
