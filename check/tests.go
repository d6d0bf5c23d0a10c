package check

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// chaosTests is Result.Check of the tests that spans tell of.
const chaosTests = "chaos tests"

// tooOld is why a file of an older schema has no data.
const tooOld = "the file is too old to know"

// maxFailedNames is how many tests that failed are named.
const maxFailedNames = 3

// tests checks that no test failed. A warm-up is none for tests: all that began
// in the interval count. A file without any has no data.
func (r *runner) tests(q analysis.Query) (Result, error) {
	var most float64
	result := Result{Check: chaosTests, Fail: &most, Status: NoData}
	answer, err := analysis.AskChaosResults(r.ctx, r.tx, q)
	switch {
	case errors.Is(err, storage.ErrOlder):
		result.Message = tooOld
		return result, nil
	case err != nil:
		return result, err
	case len(answer.Rows) == 0:
		result.Message = "no span tells of a test"
		return result, nil
	}
	failed := float64(answer.Failed)
	result.Value, result.Status = &failed, Pass
	result.Message = fmt.Sprintf("%d of %d failed", answer.Failed, answer.Failed+answer.Passed)
	if answer.Failed == 0 {
		result.Message = fmt.Sprintf("%d passed", answer.Passed)
		return result, nil
	}
	result.Status = Fail
	var names []string
	for i := range answer.Rows {
		if c := &answer.Rows[i]; !c.Passed && len(names) < maxFailedNames {
			names = append(names, c.Name)
		}
	}
	result.Message += ": " + strings.Join(names, ", ")
	if int64(len(names)) < answer.Failed {
		result.Message += " …"
	}
	return result, nil
}
