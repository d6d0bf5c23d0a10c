package check

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/spanbucket/spanbucketexporter/analysis"
)

// compare judges the regressions.
func (r *Report) compare(ctx context.Context, tx *sql.Tx, o *Options) error {
	q := o.Comparison
	q.Candidate, q.MinChange = o.Query, 0
	for _, g := range o.Regressions {
		// A change of 0 would mean the default.
		if limit := max(g.Limit, 1e-6); q.MinChange == 0 || limit < q.MinChange {
			q.MinChange = limit
		}
	}
	answer, err := analysis.AskComparison(ctx, o.BaselineTx, tx, q)
	if err != nil {
		return err
	}
	r.Comparison = answer
	for _, g := range o.Regressions {
		name, _ := comparedName(g.Metric)
		m := answer.Metric(name)
		if m == nil {
			return fmt.Errorf("regression of %q: must be one of %s", g.Metric, strings.Join(RegressionNames(), ", "))
		}
		limit := g.Limit
		result := Result{Check: g.Metric + " regression", Fail: &limit, Value: m.Change, Minimum: !m.LowerIsBetter, Unit: "share"}
		if result.Minimum {
			limit = -limit // of a change
		}
		result.Status, result.Message = judgeRegression(m, g.Limit)
		r.add(result)
	}
	return nil
}

// judgeRegression: a regression fails where it is shown and larger than the
// limit.
func judgeRegression(m *analysis.ComparedMetric, limit float64) (Status, string) {
	switch {
	case m.Verdict == analysis.VerdictTooLittle:
		return NoData, m.Why
	case m.Verdict == analysis.VerdictNoEvidence:
		return Pass, "no evidence of a change"
	case m.Verdict == analysis.VerdictBetter:
		return Pass, "better"
	case m.Change != nil && max(*m.Change, -*m.Change) <= limit:
		return Pass, "worse, within the limit"
	}
	return Fail, "worse"
}
