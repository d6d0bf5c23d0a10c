package check

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// sloPrefix begins Result.Check of an objective.
const sloPrefix = "slo "

// objectives checks the service level objectives that are configured: each fails
// where its share of good requests is below what it aims at, and warns where it
// is not, but a burn rate is at its threshold. A file without any has no data.
func (r *runner) objectives() (results []Result, err error) {
	none := Result{Check: strings.TrimSpace(sloPrefix), Status: NoData, Minimum: true, Unit: "share", Message: "no objective is configured"}
	answer, err := analysis.AskSLOs(r.ctx, r.tx, r.query)
	if errors.Is(err, storage.ErrOlder) {
		none.Message = tooOld
		return []Result{none}, nil
	}
	if err != nil {
		return nil, err
	}
	for i := range answer.Rows {
		if s := &answer.Rows[i]; s.Configured {
			results = append(results, judgeObjective(s))
		}
	}
	if len(results) == 0 {
		results = append(results, none)
	}
	return results, nil
}

func judgeObjective(s *analysis.SLO) Result {
	category, objective := s.Category, s.Objective
	result := Result{Check: sloPrefix + s.Name, Category: &category, Model: s.Model, Value: s.GoodShare, Fail: &objective,
		Minimum: true, Unit: "share", Status: Pass}
	switch {
	case s.Met == nil:
		result.Status, result.Message = NoData, "no requests"
	case !*s.Met:
		result.Status = Fail
	case s.Alert != nil:
		result.Status, result.Message = Warn, "burns too fast over "+*s.Alert
	}
	if s.Met != nil && s.CountedFromUTC != nil && result.Message == "" {
		result.Message = fmt.Sprintf("counted from %s on", *s.CountedFromUTC)
	}
	return result
}
