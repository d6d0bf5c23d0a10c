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
		return
	}
	r.TestCase = aggregator.TestCase{
		Name: w.text(&w.span, fieldTestCase), Suite: w.text(&w.span, fieldTestSuite), Passed: status == testPass,
		Expected: w.text(&w.span, fieldTestExpected), Actual: w.text(&w.span, fieldTestActual),
	}
}
