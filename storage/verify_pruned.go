package storage

import (
	"context"
	"database/sql"
	"fmt"
)

// prunedRules are the rules for rows of pruned.
var prunedRules = &tableRules{
	table: "pruned", from: "pruned", row: "'relation=' || relation || ' width_s=' || width_s",
	rules: []rowRule{
		{"width_s", ruleWidth, `(relation = 'buckets') <> (width_s > 0)
			OR width_s > 0 AND width_s NOT IN (SELECT j.value ->> 'width_s' FROM meta, json_each(meta.value) AS j WHERE meta.key = 'widths')`,
			"a width, of buckets alone"},
		{"complete_from", ruleAligned, "width_s > 0 AND complete_from % width_s <> 0", "a multiple of width_s"},
		{"rows", rulePositive, "rows < 0", "0 or more"},
	},
}

// checkPruned checks what the file says of what has left, and reads what series
// say of their newest spans.
func (v *verifier) checkPruned(ctx context.Context) error {
	if v.meta.SchemaVersion < prunedSince {
		return nil
	}
	if err := v.checkRules(ctx, prunedRules); err != nil {
		return err
	}
	return v.each(ctx, "SELECT series_id, newest_s FROM series", func(rows *sql.Rows) error {
		var id, newest int64
		if err := rows.Scan(&id, &newest); err != nil {
			return err
		}
		if facts := v.series[id]; facts != nil {
			facts.newest, facts.dated = newest, true
		}
		return nil
	})
}

// checkNewest: a series is not dropped before its last bucket.
func (v *verifier) checkNewest(r *rawRow) error {
	facts := v.series[r.series]
	if facts == nil || !facts.dated || r.start < facts.newest {
		return nil
	}
	facts.dated = false // told once
	return v.report(Problem{
		Relation: "series", Row: fmt.Sprintf("series_id=%d", r.series), Column: "newest_s", Rule: ruleNewest,
		Stored: fmt.Sprint(facts.newest), Expected: fmt.Sprintf("more than %d", r.start),
	})
}
