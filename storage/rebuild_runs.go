package storage

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// rebuildRuns makes what the file says of runs equal to what their requests do.
// Where some have left, they only tell that a run began earlier or lasted longer.
func (r *rebuild) rebuildRuns(ctx context.Context, runs map[string]*aggregator.RunSpan) error {
	whole := r.complete == math.MinInt64
	statements := []string{runsThatLack, runsThatDiffer}
	if whole {
		statements = []string{runsThatLack, wholeRunsThatDiffer, categoriesWithout, categoriesThatDiffer}
	}
	if err := r.listRuns(ctx, runs); err != nil {
		return fmt.Errorf("list runs: %w", err)
	}
	before := r.changed
	for _, statement := range statements {
		if _, err := r.exec(ctx, statement, r.version); err != nil {
			return fmt.Errorf("write run: %w", err)
		}
	}
	r.done.Runs = r.changed - before
	if r.options.DryRun {
		r.changed = 0 // the transaction is taken back
	}
	if r.done.Runs == 0 || !whole {
		return nil
	}
	return r.describeHeadline(ctx)
}

const (
	runsThatLack = `INSERT INTO main.run (run_id, first_ns, last_ns, version)
		SELECT run_id, first_ns, last_ns, ?1 FROM temp.folded_run WHERE true ON CONFLICT DO NOTHING`
	runsThatDiffer = `UPDATE main.run AS o SET version = ?1, first_ns = coalesce(min(o.first_ns, n.first_ns), n.first_ns),
		last_ns = coalesce(max(o.last_ns, n.last_ns), n.last_ns) FROM temp.folded_run AS n WHERE n.run_id = o.run_id
		AND (o.first_ns IS NULL OR o.last_ns IS NULL OR n.first_ns < o.first_ns OR n.last_ns > o.last_ns)`
	wholeRunsThatDiffer = `UPDATE main.run AS o SET version = ?1, first_ns = n.first_ns, last_ns = n.last_ns
		FROM (SELECT run.run_id, f.first_ns, f.last_ns FROM main.run LEFT JOIN temp.folded_run AS f ON f.run_id = run.run_id) AS n
		WHERE n.run_id = o.run_id AND (o.first_ns, o.last_ns) IS NOT (n.first_ns, n.last_ns)`
	categoriesWithout = `DELETE FROM main.run_category WHERE ?1 AND (run_id, category) NOT IN (
		SELECT run_id, category FROM temp.folded_category)`
	categoriesThatDiffer = `INSERT INTO main.run_category (run_id, category, spans)
		SELECT run_id, category, spans FROM temp.folded_category WHERE ?1
		ON CONFLICT (run_id, category) DO UPDATE SET spans = excluded.spans WHERE spans <> excluded.spans`
)

// listRuns makes tables of what the requests say.
func (r *rebuild) listRuns(ctx context.Context, runs map[string]*aggregator.RunSpan) error {
	for _, create := range []string{
		"CREATE TEMP TABLE folded_run (run_id TEXT PRIMARY KEY, first_ns INTEGER, last_ns INTEGER) WITHOUT ROWID",
		"CREATE TEMP TABLE folded_category (run_id TEXT, category TEXT, spans INTEGER, PRIMARY KEY (run_id, category)) WITHOUT ROWID",
	} {
		if _, err := r.conn.ExecContext(ctx, create); err != nil {
			return err
		}
	}
	for id, run := range runs {
		const addRun = "INSERT INTO temp.folded_run VALUES (?, ?, ?)"
		if _, err := r.conn.ExecContext(ctx, addRun, id, run.FirstUnixNano, run.LastUnixNano); err != nil {
			return err
		}
		for c, spans := range run.Spans {
			if spans == 0 {
				continue
			}
			const addCategory = "INSERT INTO temp.folded_category VALUES (?, ?, ?)"
			if _, err := r.conn.ExecContext(ctx, addCategory, id, aggregator.Category(c).String(), spans); err != nil {
				return err
			}
		}
	}
	return nil
}

// The rows of meta that say which buckets are estimated: those with spans that
// start from the one to the other, Unix seconds.
const (
	metaEstimatedFrom = "estimated_from_s"
	metaEstimatedTo   = "estimated_to_s"
)

// markEstimated notes the interval of which buckets are estimated.
func (r *rebuild) markEstimated(ctx context.Context) error {
	if r.from == r.complete || r.options.DryRun || r.changed == 0 {
		return nil
	}
	from, to := int64(0), int64(math.MaxInt64)
	if r.from > math.MinInt64 {
		from = aggregator.UnixSeconds(r.from)
	}
	if r.complete < math.MaxInt64 {
		to = ceilSecond(r.complete)
	}
	for _, row := range [][2]string{
		{metaEstimatedFrom, strconv.FormatInt(from, 10)}, {metaEstimatedTo, strconv.FormatInt(to, 10)},
	} {
		if err := setMeta(ctx, r.conn, row[0], row[1]); err != nil {
			return err
		}
	}
	return nil
}
