package spans

import "github.com/spanbucket/spanbucketexporter/aggregator"

// The values of test.case.result.status, by the semantic conventions for tests.
const (
	testPass = "pass"
	testFail = "fail"
)

// readTestCase reads the result of a test. A span that names a test and does not
// say how it ended tells of none.
func (w *walker) readTestCase() {
	r := &w.request
	r.TestCase = aggregator.TestCase{}
	status := w.text(&w.span, fieldTestResult)
	if status != testPass && status != testFail {
		r.TestCase = w.experimentResult()
		return
	}
	r.TestCase = aggregator.TestCase{
		Name: w.text(&w.span, fieldTestCase), Suite: w.text(&w.span, fieldTestSuite), Passed: status == testPass,
		Expected: w.text(&w.span, fieldTestExpected), Actual: w.text(&w.span, fieldTestActual),
	}
}

// The statuses that Chaos Toolkit has for experiments which came to a result.
const (
	experimentCompleted = "completed"
	experimentFailed    = "failed" // the hypothesis was not met before the method
)

// experimentResult reads whether the hypothesis of an experiment held, from the
// one span of it that knows: those of the hypothesis itself are there for each
// time that it was looked at. One that was interrupted has no result.
func (w *walker) experimentResult() (result aggregator.TestCase) {
	if !w.span.has(fieldExperimentTitle) {
		return result
	}
	result.Expected = "hypothesis met"
	status, deviated := w.text(&w.span, fieldExperimentStatus), w.text(&w.span, fieldExperimentDeviated)
	switch {
	case deviated == "true":
		result.Actual = "deviated"
	case status == experimentFailed:
		result.Actual = "not met before"
	case status == experimentCompleted && deviated == "false":
		result.Passed, result.Actual = true, "met"
	default:
		return aggregator.TestCase{}
	}
	result.Name = w.text(&w.span, fieldExperimentTitle)
	return result
}
