package mcpserver

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/analysis"
)

// Why a diagnosis is no good one comes before all figures, and is not what is
// cut off.
func TestADiagnosisBeginsWithItsReasons(t *testing.T) {
	d := &analysis.Diagnosis{Status: analysis.StatusOK, Text: "5 requests in 1 s: 100 % succeeded."}
	require.Equal(t, "OK: 5 requests in 1 s: 100 % succeeded.", diagnosisText(d))
	d.Status, d.Reasons = analysis.StatusWarning, []string{"less than 80 % of the requests succeeded", "2 severe anomalies outside the known faults"}
	d.Patterns = []string{"burst_periods(3)", "silence(1)"}
	require.Equal(t, "WARNING (less than 80 % of the requests succeeded; 2 severe anomalies outside the known faults): "+
		"5 requests in 1 s: 100 % succeeded. Patterns: burst_periods(3), silence(1).", diagnosisText(d))
	d.Text = strings.Repeat("é", 600)
	text := diagnosisText(d)
	require.Equal(t, 600, utf8.RuneCountInString(text))
	require.True(t, strings.HasPrefix(text, "WARNING (less than 80 % of the requests succeeded; 2 severe anomalies outside the known faults): éé"), text)
	require.True(t, strings.HasSuffix(text, "…"), text)
}
