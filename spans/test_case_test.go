package spans

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// An experiment of Chaos Toolkit is a test of its hypothesis. What did not come
// to a result is none, and the spans of the hypothesis itself are parts of it.
func TestExperimentsAreTests(t *testing.T) {
	const title = "Can the shop live without its cache?"
	result := func(passed bool, actual string) aggregator.TestCase {
		return aggregator.TestCase{Name: title, Passed: passed, Expected: "hypothesis met", Actual: actual}
	}
	var none aggregator.TestCase
	for _, c := range []struct {
		status, deviated any
		want             aggregator.TestCase
	}{
		{"completed", false, result(true, "met")},
		{"completed", "false", result(true, "met")},
		{"completed", true, result(false, "deviated")},
		{"interrupted", true, result(false, "deviated")},
		{nil, true, result(false, "deviated")},
		{"failed", false, result(false, "not met before")},
		{"failed", nil, result(false, "not met before")},
		{"interrupted", false, none},
		{"aborted", false, none},
		{"completed", nil, none},
		{"completed", "perhaps", none},
		{nil, false, none},
		{nil, nil, none},
	} {
		says := attributes{"chaostoolkit.experiment.title": title}
		if c.status != nil {
			says["chaostoolkit.experiment.status"] = c.status
		}
		if c.deviated != nil {
			says["chaostoolkit.experiment.deviated"] = c.deviated
		}
		require.Equal(t, c.want, requestWith(t, nil, says).TestCase, "%v", says)
	}
	for _, says := range []attributes{
		{"chaostoolkit.experiment.status": "completed", "chaostoolkit.experiment.deviated": true},
		{"chaostoolkit.hypothesis.phase": "after", "chaostoolkit.hypothesis.met": false},
	} {
		require.Equal(t, none, requestWith(t, nil, says).TestCase, "%v", says)
	}
	// A test that says so itself goes first.
	said := requestWith(t, nil, attributes{
		"chaostoolkit.experiment.title": title, "chaostoolkit.experiment.status": "completed", "chaostoolkit.experiment.deviated": true,
		"test.case.name": "t", "test.case.result.status": "pass",
	}).TestCase
	require.Equal(t, aggregator.TestCase{Name: "t", Passed: true}, said)
}
