package storage

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// The rules for request_stratum.
const (
	ruleMinute    = "is the start of a minute"
	ruleChosen    = "is the number of rows that were chosen"
	ruleStandsFor = "is not less than rows"
	ruleStratum   = "is counted in request_stratum"

	ruleStratumSays = "is NULL where request_stratum says it"
)

// stratumRules are the rules for rows of request_stratum alone.
var stratumRules = &tableRules{
	table: "request_stratum", from: "request_stratum", row: stratumName,
	rules: []rowRule{
		{"minute_s", ruleMinute, "minute_s < 0 OR minute_s % 60 <> 0", "a multiple of 60"},
		{"category", ruleKnown, "category NOT IN (" + quotedNames(aggregator.NumCategories) + ")", "a category"},
		{"outcome", ruleKnown, "outcome NOT IN (" + quotedNames(aggregator.NumOutcomes) + ")", "an outcome"},
		{"rows", ruleSome, "rows < 1", "1 or more"},
		{"spans", ruleStandsFor, "spans < rows", "rows or more"},
	},
}

const stratumName = "'minute_s=' || minute_s || ' category=' || quote(category) || ' outcome=' || quote(outcome)"

// quotedNames lists the names of an enumeration for SQL.
func quotedNames[E interface {
	~uint8
	fmt.Stringer
}](n E) string {
	names := make([]string, n)
	for i := range names {
		names[i] = "'" + E(i).String() + "'"
	}
	return strings.Join(names, ", ")
}

// checkStrata compares what was chosen of the spans of a minute, category and
// outcome with the rows. Where rows have left by age or number, fewer may be
// there.
func (v *verifier) checkStrata(ctx context.Context) error {
	if v.broken["request"] || v.broken["request_stratum"] || v.broken["series"] {
		return nil
	}
	var prunedS int64
	const pruned = "SELECT coalesce(max(complete_from), 0) FROM pruned WHERE relation = 'request'"
	if err := v.tx.QueryRowContext(ctx, pruned).Scan(&prunedS); err != nil {
		return err
	}
	const query = `WITH chosen AS MATERIALIZED (
			SELECT r.start_ns / 60000000000 * 60 AS minute_s, s.category, s.outcome, count(*) AS rows
			FROM request AS r JOIN series AS s ON s.series_id = r.series_id WHERE r.kept & 16 GROUP BY 1, 2, 3
		)
		SELECT ` + stratumName + `, st.rows, coalesce(c.rows, 0)
		FROM request_stratum AS st LEFT JOIN chosen AS c USING (minute_s, category, outcome) WHERE minute_s >= ?1
		UNION ALL
		SELECT ` + stratumName + `, NULL, c.rows
		FROM chosen AS c LEFT JOIN request_stratum AS st USING (minute_s, category, outcome) WHERE st.rows IS NULL AND minute_s >= ?1`
	return eachRow(ctx, v.tx, query, func(rows *sql.Rows) error {
		var name string
		var said sql.NullInt64
		var have int64
		if err := rows.Scan(&name, &said, &have); err != nil {
			return err
		}
		switch {
		case !said.Valid:
			return v.report(Problem{
				Relation: "request", Row: name, Column: "kept", Rule: ruleStratum, Stored: fmt.Sprintf("%d rows with 16", have), Expected: "none",
			})
		case said.Int64 != have:
			return v.report(Problem{
				Relation: "request_stratum", Row: name, Column: "rows", Rule: ruleChosen, Stored: fmt.Sprint(said.Int64), Expected: fmt.Sprint(have),
			})
		}
		return nil
	}, prunedS)
}
