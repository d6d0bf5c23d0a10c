package check

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever stands in names, the file is XML, and says as many failures as there
// are.
func TestJUnitIsXML(t *testing.T) {
	model := "a\"<b>&]]>\x1b[31m\x00\xff\u202e"
	r := &Report{}
	for _, status := range []Status{Pass, Warn, Fail, NoData, Fail} {
		r.add(Result{Check: "p99", Model: &model, Status: status})
	}
	require.Equal(t, Fail, r.Status)
	var out strings.Builder
	require.NoError(t, r.WriteJUnit(&out, func(c *Result) string { return c.Name() + ` is "bad" <` + string(c.Status) + ">" }))
	require.NotContains(t, out.String(), "\x1b")
	var read junitSuites
	require.NoError(t, xml.Unmarshal([]byte(out.String()), &read))
	suite := read.Suites[0]
	require.Equal(t, []int{5, 2, 1}, []int{suite.Tests, suite.Failures, suite.Errors})
	failures, faults := 0, 0
	for _, c := range suite.Cases {
		require.True(t, strings.HasPrefix(c.Name, `p99 of model a"<b>&]]>`), c.Name)
		if c.Failure != nil {
			failures++
		}
		if c.Error != nil {
			faults++
		}
	}
	require.Equal(t, []int{2, 1}, []int{failures, faults})
}
