package storage

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// The rules for objectives and what is counted for them.
const (
	ruleShare        = "is a share between 0 and 1, in 1e-9"
	ruleObjectiveID  = "is derived from what the objective counts"
	ruleOfCategory   = "is counted in buckets of its category"
	ruleGood         = "good is from 0 to total, and total 1 or more"
	ruleGoodSuccess  = "is not more than the spans that succeeded"
	ruleCountedSpans = "is not more than the spans that were not cancelled"
	ruleAllCounted   = "counts every span that was not cancelled"
)

// objectiveRules are the rules for rows of slo alone.
var objectiveRules = &tableRules{
	table: "slo", from: "slo", row: "'slo_id=' || slo_id",
	rules: []rowRule{
		{"name", ruleNotEmpty, "name = ''", "a name"},
		{"category", ruleKnown, "category NOT IN (" + quotedNames(aggregator.NumCategories) + ")", "a category"},
		{"latency_ns", ruleTooLong, fmt.Sprintf("latency_ns NOT BETWEEN 1 AND %d", maxDurationNano), "1 to 86400000000000"},
		{"objective_nano", ruleShare, "objective_nano NOT BETWEEN 1 AND 999999999", "1 to 999999999"},
		{"configured", ruleKnown, "configured NOT IN (0, 1)", "0 or 1"},
		{"complete_from", rulePositive, "complete_from < 0", "0 or more"},
	},
}

// countRules are the rules for rows of slo_bucket. checkReferences reports rows
// that refer to none.
var countRules = &tableRules{
	table: "slo_bucket",
	from: `(SELECT c.*, b.category AS of_category, b.success, b.requests - b.cancelled AS counted, s.category
		FROM slo_bucket AS c JOIN headline_bucket AS b ON b.id = c.bucket_id JOIN slo AS s ON s.slo_id = c.slo_id)`,
	row: "'bucket_id=' || bucket_id || ' slo_id=' || slo_id",
	rules: []rowRule{
		{"slo_id", ruleOfCategory, "of_category <> category", "an objective of the category of the bucket"},
		{"good", ruleGood, "total < 1 OR good NOT BETWEEN 0 AND total", "0 to total"},
		{"good", ruleGoodSuccess, "good > success", "success or less"},
		{"total", ruleCountedSpans, "total > counted", "requests without cancelled or less"},
	},
}

// checkObjectives checks what is counted for objectives against the buckets.
func (v *verifier) checkObjectives(ctx context.Context) error {
	if v.meta.SchemaVersion < objectivesSince {
		return nil
	}
	if err := v.checkRules(ctx, objectiveRules); err != nil || v.broken["slo"] {
		return err
	}
	all, err := ReadObjectives(ctx, v.tx)
	if err != nil {
		return err
	}
	for i := range all {
		if id := all[i].Objective.ID(); id != all[i].ID {
			if err := v.report(Problem{
				Relation: "slo", Row: fmt.Sprintf("slo_id=%d", all[i].ID), Column: "slo_id", Rule: ruleObjectiveID,
				Stored: fmt.Sprint(int64(all[i].ID)), Expected: fmt.Sprint(int64(id)),
			}); err != nil {
				return err
			}
		}
	}
	if v.broken["headline_bucket"] || v.broken["slo"] {
		return nil
	}
	if err := v.checkRules(ctx, countRules); err != nil || v.broken["slo_bucket"] || len(all) == 0 {
		return err
	}
	for i, w := range v.meta.Widths {
		if err := v.checkAllCounted(ctx, w); err != nil {
			return err
		}
		if i == 0 || v.broken["slo_bucket"] {
			continue
		}
		if err := v.checkCountsMerge(ctx, v.meta.Widths[i-1], w); err != nil {
			return err
		}
	}
	return nil
}

// checkAllCounted compares the buckets of a width with what they count for the
// objectives that every span of a category counts towards.
func (v *verifier) checkAllCounted(ctx context.Context, w Width) error {
	const query = `SELECT b.bucket_start, b.run_id, s.slo_id, coalesce(c.total, 0), b.requests - b.cancelled,
			coalesce(c.good, 0), CASE WHEN s.latency_ns IS NULL THEN b.success ELSE coalesce(c.good, 0) END
		FROM headline_bucket AS b
			JOIN slo AS s ON s.category = b.category AND s.configured AND s.service IS NULL AND s.operation IS NULL AND s.model IS NULL
			LEFT JOIN slo_bucket AS c ON c.bucket_id = b.id AND c.slo_id = s.slo_id
		WHERE b.width_s = ?1 AND b.bucket_start >= max(?2, s.complete_from)
			AND (coalesce(c.total, 0) <> b.requests - b.cancelled OR s.latency_ns IS NULL AND coalesce(c.good, 0) <> b.success)`
	return eachRow(ctx, v.tx, query, v.countProblem(w, ruleAllCounted), w.Seconds, v.keptFrom(w))
}

// checkCountsMerge compares what the buckets of a width count with what the
// narrower ones that lie in them do.
func (v *verifier) checkCountsMerge(ctx context.Context, narrow, wide Width) error {
	const query = `SELECT coalesce(n.bucket_start, o.bucket_start), coalesce(n.run_id, o.run_id), slo.slo_id,
			coalesce(o.total, 0), coalesce(n.total, 0), coalesce(o.good, 0), coalesce(n.good, 0)
		FROM (
			SELECT b.bucket_start / ?2 * ?2 AS bucket_start, b.run_id, c.slo_id, sum(c.good) AS good, sum(c.total) AS total
			FROM headline_bucket AS b JOIN slo_bucket AS c ON c.bucket_id = b.id WHERE b.width_s = ?1 AND b.bucket_start >= ?3 GROUP BY 1, 2, 3
		) AS n FULL JOIN (
			SELECT b.bucket_start, b.run_id, c.slo_id, c.good, c.total
			FROM headline_bucket AS b JOIN slo_bucket AS c ON c.bucket_id = b.id WHERE b.width_s = ?2 AND b.bucket_start >= ?3
		) AS o ON (n.bucket_start, n.run_id, n.slo_id) = (o.bucket_start, o.run_id, o.slo_id)
			JOIN slo ON slo.slo_id = coalesce(n.slo_id, o.slo_id)
		WHERE (n.good, n.total) IS NOT (o.good, o.total) AND coalesce(n.bucket_start, o.bucket_start) >= slo.complete_from`
	from := max(v.keptFrom(narrow), v.keptFrom(wide))
	if from > math.MinInt64 {
		from = ceilBucket(from, wide.Seconds)
	}
	return eachRow(ctx, v.tx, query, v.countProblem(wide, ruleMerge), narrow.Seconds, wide.Seconds, from)
}

// countProblem reports a row of bucket_start, run_id and slo_id, and total and
// good as they are and as they should be.
func (v *verifier) countProblem(w Width, rule string) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		var start, id, total, wantTotal, good, wantGood int64
		var run string
		if err := rows.Scan(&start, &run, &id, &total, &wantTotal, &good, &wantGood); err != nil {
			return err
		}
		p := Problem{
			Relation: "slo_bucket", Row: fmt.Sprintf("width_s=%d bucket_start=%d run_id=%q slo_id=%d", w.Seconds, start, run, id),
			Column: "total", Rule: rule, Stored: fmt.Sprint(total), Expected: fmt.Sprint(wantTotal),
		}
		if total == wantTotal {
			p.Column, p.Stored, p.Expected = "good", fmt.Sprint(good), fmt.Sprint(wantGood)
		}
		return v.report(p)
	}
}
