package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/check"
)

// hiccup fails at one write and takes all others.
type hiccup struct{ at, writes int }

func (h *hiccup) Write(p []byte) (int, error) {
	if h.writes++; h.writes == h.at {
		return 0, errFull
	}
	return len(p), nil
}

// Whichever write of an answer fails, the answer was not written.
func TestEveryWriteOfAnAnswerCounts(t *testing.T) {
	value := 7.0
	comparison := &analysis.Comparison{
		Metrics: []analysis.ComparedMetric{{Name: "p95_latency_ms", Baseline: &value, Candidate: &value, Verdict: analysis.VerdictTooLittle, Why: "few buckets"}},
		Notes:   []string{"a note"},
	}
	for name, print := range map[string]func(*program) error{
		"check": func(p *program) error {
			long := check.Result{Check: "p95", Status: check.NoData, Message: strings.Repeat("because ", 20)}
			return p.printCheck(&check.Report{Results: []check.Result{long}, Comparison: comparison})
		},
		"compare": func(p *program) error { return p.printComparison(comparison) },
	} {
		all := &hiccup{}
		require.NoError(t, print(testProgram(all)), name)
		require.Greater(t, all.writes, 2, name)
		for at := range all.writes {
			require.ErrorIs(t, print(testProgram(&hiccup{at: at + 1})), errFull, "%s, write %d", name, at+1)
		}
	}
}
