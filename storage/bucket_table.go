package storage

import (
	"database/sql"
	"fmt"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

// measureColumn names the columns of a measure: those of its figures
// (sum_latency_ns …) and that of its histogram.
type measureColumn struct {
	measure aggregator.Measure
	figures string
}

// storedPercentiles are the columns p50_… to p99_… of every measure.
var storedPercentiles = []histogram.Ratio{histogram.P50, histogram.P90, histogram.P95, histogram.P99}

// counterColumns names the column of each counter.
var counterColumns = func() [aggregator.NumCounters]string {
	columns := [aggregator.NumCounters]string{
		aggregator.Requests: "requests", aggregator.AdjustedMicro: "adjusted_micro", aggregator.Late: "late",
		aggregator.Resends: "resends", aggregator.UsageCount: "usage_count", aggregator.InputTokens: "input_tokens",
		aggregator.OutputTokens: "output_tokens", aggregator.CacheReadTokens: "cache_read_tokens",
		aggregator.CacheWriteTokens: "cache_write_tokens", aggregator.ReasoningTokens: "reasoning_tokens",
		aggregator.PricedCount: "priced_count", aggregator.CostNanoUSD: "cost_nano_usd",
		aggregator.Completed: "completed", aggregator.Injected: "injected",
	}
	for o := range aggregator.NumOutcomes {
		columns[aggregator.OutcomeCounter(o)] = o.String()
	}
	return columns
}()

// bucketTable describes one of the two pairs of tables that hold buckets and
// their histograms.
type bucketTable struct {
	name       string
	histograms string
	counted    string // what is counted for objectives; empty: nothing is
	keys       []string
	counters   int // the first so many counters have a column
	measures   []measureColumn
}

// The two pairs.
var (
	headlineTable = &bucketTable{
		name: "headline_bucket", histograms: "headline_histogram", counted: "slo_bucket",
		keys:     []string{"run_id", "category"},
		counters: int(aggregator.NumCounters),
		measures: []measureColumn{
			{aggregator.MeasureDuration, "latency"},
			{aggregator.MeasureTimeToFirstToken, "ttft"},
		},
	}
	seriesTable = &bucketTable{
		name: "series_bucket", histograms: "series_histogram",
		keys:     []string{"series_id"},
		counters: int(aggregator.Completed),
		measures: []measureColumn{
			{aggregator.MeasureDuration, "latency"},
			{aggregator.MeasureNetDuration, "net_latency"},
			{aggregator.MeasureTimeToFirstToken, "ttft"},
			{aggregator.MeasureTimePerOutputToken, "time_per_output_token"},
		},
	}
)

// figureColumns are the columns of one measure, in the order of figures.
func (m measureColumn) figureColumns() []string {
	columns := []string{m.figures + "_count"}
	for _, figure := range []string{"sum", "min", "max", "p50", "p90", "p95", "p99"} {
		columns = append(columns, figure+"_"+m.figures+"_ns")
	}
	return columns
}

// parts are the tables whose rows are of a bucket, by bucket_id.
func (t *bucketTable) parts() []string {
	if t.counted == "" {
		return []string{t.histograms}
	}
	return []string{t.histograms, t.counted}
}

// valueColumns are the columns that a commit changes, in the order of
// appendValues.
func (t *bucketTable) valueColumns(c changes) []string {
	columns := append([]string{"version"}, counterColumns[:t.counters]...)
	for _, m := range t.measures {
		if c.measure(m.measure) {
			columns = append(columns, m.figureColumns()...)
		}
	}
	if c.measure(aggregator.MeasureDuration) {
		columns = append(columns, "slowest_trace_id", "slowest_span_id")
	}
	return columns
}

func (t *bucketTable) keyColumns() []string {
	return append([]string{"id", "width_s", "bucket_start"}, t.keys...)
}

// insertSQL writes a new row: values, id, keys.
func (t *bucketTable) insertSQL() string {
	return insertSQL(t.name, append(t.valueColumns(allChanges), t.keyColumns()...))
}

// changes says what of a row differs from the file: bit m for the measure m.
type changes uint8

func (c changes) measure(m aggregator.Measure) bool { return c&(1<<m) != 0 }

// allChanges is the value for a row that the file does not have.
const allChanges changes = 1<<aggregator.NumMeasures - 1

// changesOf tells what adding a cell changes.
func changesOf(c *aggregator.Cell) (all changes) {
	for m := range c.Measures {
		if c.Measures[m].Count() > 0 {
			all |= 1 << m
		}
	}
	return all
}

// updateSQL writes what changed of a row that is there: values, id. Most rows
// have one measure only, and binding values is a third of what a commit costs.
func (t *bucketTable) updateSQL(c changes) string { return updateSQL(t.name, t.valueColumns(c), "id") }

// insertHistogramsSQL writes the histograms of a new row: values, bucket_id.
func (t *bucketTable) insertHistogramsSQL() string {
	return insertSQL(t.histograms, append(t.histogramColumns(allChanges), "bucket_id"))
}

// updateHistogramsSQL writes the histograms of a row that is there: values,
// bucket_id.
func (t *bucketTable) updateHistogramsSQL(c changes) string {
	return updateSQL(t.histograms, t.histogramColumns(c), "bucket_id")
}

func (t *bucketTable) histogramColumns(c changes) []string {
	var columns []string
	for _, m := range t.measures {
		if c.measure(m.measure) {
			columns = append(columns, m.measure.String())
		}
	}
	return columns
}

// insertSQL and updateSQL assemble statements from names that are all constants
// of this package. One statement that does either would do the work of both.
func insertSQL(table string, columns []string) string {
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)",
		table, strings.Join(columns, ", "), strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", "))
}

func updateSQL(table string, columns []string, key string) string {
	return fmt.Sprintf("UPDATE %s SET %s = ? WHERE %s = ?", table, strings.Join(columns, " = ?, "), key)
}

// existsSQL asks whether a bucket has any row.
func (t *bucketTable) existsSQL() string {
	return fmt.Sprintf("SELECT EXISTS (SELECT 1 FROM %s WHERE width_s = ? AND bucket_start = ?)", t.name)
}

// loadSQL reads one row by its key, and first whether its histograms are there.
func (t *bucketTable) loadSQL() string {
	columns := append([]string{"bucket_id IS NOT NULL", "id"}, counterColumns[:t.counters]...)
	for _, m := range t.measures {
		columns = append(columns, m.figureColumns()[:4]...)
	}
	columns = append(columns, "slowest_trace_id", "slowest_span_id")
	columns = append(columns, t.histogramColumns(allChanges)...)
	return fmt.Sprintf("SELECT %s FROM %s LEFT JOIN %s ON bucket_id = id WHERE width_s = ? AND bucket_start = ? AND %s = ?",
		strings.Join(columns, ", "), t.name, t.histograms, strings.Join(t.keys, " = ? AND "))
}

// appendValues appends what valueColumns names.
func (t *bucketTable) appendValues(args []any, version int64, c *aggregator.Cell, changed changes) []any {
	args = append(args, version)
	for _, n := range c.Counters[:t.counters] {
		args = append(args, n)
	}
	for _, m := range t.measures {
		if changed.measure(m.measure) {
			args = appendFigures(args, &c.Measures[m.measure])
		}
	}
	if !changed.measure(aggregator.MeasureDuration) {
		return args
	}
	if !c.Slowest.Present() {
		return append(args, nil, nil)
	}
	return append(args, c.Slowest.TraceID[:], c.Slowest.SpanID[:])
}

// appendFigures appends count, sum, minimum, maximum and the stored
// percentiles; what an empty histogram has not is NULL.
func appendFigures(args []any, h *histogram.Histogram) []any {
	args = append(args, h.Count(), h.Sum())
	var values [4]int64
	if !h.Percentiles(storedPercentiles, values[:]) {
		return append(args, nil, nil, nil, nil, nil, nil)
	}
	return append(args, h.Min(), h.Max(), values[0], values[1], values[2], values[3])
}

// scanCell reads the row that loadSQL selects. It returns sql.ErrNoRows where
// there is none.
func (t *bucketTable) scanCell(row *sql.Row) (id int64, cell aggregator.Cell, err error) {
	figures := make([][4]sql.NullInt64, len(t.measures))
	texts := make([]sql.NullString, len(t.measures))
	var traceID, spanID []byte
	var whole bool
	into := []any{&whole, &id}
	for i := range t.counters {
		into = append(into, &cell.Counters[i])
	}
	for i := range figures {
		for k := range figures[i] {
			into = append(into, &figures[i][k])
		}
	}
	into = append(into, &traceID, &spanID)
	for i := range texts {
		into = append(into, &texts[i])
	}
	if err := row.Scan(into...); err != nil {
		return 0, cell, err
	}
	if !whole {
		return 0, cell, fmt.Errorf("%s %d has no row in %s", t.name, id, t.histograms)
	}
	for i, m := range t.measures {
		if !texts[i].Valid {
			continue
		}
		f := figures[i]
		stats := histogram.Stats{Count: f[0].Int64, Sum: f[1].Int64, Min: f[2].Int64, Max: f[3].Int64}
		if cell.Measures[m.measure], err = histogram.Parse(texts[i].String, stats); err != nil {
			return 0, cell, fmt.Errorf("%s %d: %s: %w", t.name, id, m.measure, err)
		}
	}
	if len(traceID) == 16 && len(spanID) == 8 {
		cell.Slowest = aggregator.NewSlowest(cell.Measures[aggregator.MeasureDuration].Max(), [16]byte(traceID), [8]byte(spanID))
	}
	return id, cell, nil
}
