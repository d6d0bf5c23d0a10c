package analysis_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/analysis"
)

func faultImpact(q analysis.Query) func(context.Context, *sql.Tx) (*analysis.FaultImpact, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.FaultImpact, error) {
		return analysis.AskFaultImpact(ctx, tx, q)
	}
}

// A minute of calm with a call of 200 ms a second, a fault of 30 s that holds
// calls up for 2 s and fails every third, 20 s in which all calls fail, calm
// again.
func latencyFault() *story {
	s := newStory()
	for i := range 150 {
		start := float64(i) + 0.5
		switch {
		case i < 60 || i >= 110:
			s.chat(start, 0.2)
		case i >= 90:
			s.chat(start, 1, "error.type", "503")
		case i%3 == 0:
			s.chat(start, 2.2, "chaos.fault.type", "latency", "chaos.fault.latency_ms", 2000, "error.type", "504")
		default:
			s.chat(start, 2.2, "chaos.fault.type", "latency", "chaos.fault.latency_ms", 2000)
		}
	}
	s.injector(60, 30, "latency")
	return s
}

func TestStoryOfALatencyFault(t *testing.T) {
	answer := ask(t, latencyFault().file(t, asItIs), faultImpact(analysis.Query{Now: later}))
	require.Len(t, answer.Windows, 2)
	require.Len(t, answer.Rows, 1)
	f := answer.Rows[0]
	t.Logf("%+v", f)
	require.Equal(t, []string{"injector", "requests"}, f.Sources)
	require.Equal(t, 60.0, *f.Before.Requests)
	require.Equal(t, 30.0, *f.During.Requests)
	require.Equal(t, 10.0, *f.During.Errors)
	require.InDelta(t, 2200, *f.During.Latency.AvgMS, 1e-6)
	require.InDelta(t, 200, *f.During.NetLatency.AvgMS, 1e-6)
	require.Equal(t, 60.0, *f.After.Requests)
	require.Equal(t, 20.0, *f.After.Errors)
	require.Equal(t, 0.0, *f.Straddling)
	require.Equal(t, analysis.Recovered, f.Recovery)
	require.Equal(t, 20.0, *f.RecoveryS)
}
