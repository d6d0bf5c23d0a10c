package analysis

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAnExperimentIsOneFault: what requests say within the experiment of an
// injector is part of its fault; marks of another experiment, and those that
// begin later, are not.
func TestAnExperimentIsOneFault(t *testing.T) {
	text := func(s string) *string { return &s }
	const second = int64(time.Second)
	windows := []FaultWindow{
		{WindowID: "i", RunID: "r", Fault: "brownout", Target: text("gateway"), StartNS: 10 * second, EndNS: 20 * second, Source: "injector", ExperimentID: text("e1")},
		{WindowID: "a", RunID: "r", Fault: "timeout", StartNS: 11 * second, EndNS: 25 * second, Source: "requests", ExperimentID: text("e1")},
		{WindowID: "b", RunID: "r", Fault: "latency", StartNS: 10 * second, EndNS: 12 * second, Source: "requests", ExperimentID: text("e1")},
		{WindowID: "c", RunID: "r", Fault: "reset", StartNS: 11 * second, EndNS: 12 * second, Source: "requests", ExperimentID: text("e2")},
		{WindowID: "d", RunID: "r", Fault: "abort", StartNS: 20 * second, EndNS: 22 * second, Source: "requests", ExperimentID: text("e1")},
		{WindowID: "f", RunID: "other", Fault: "abort", StartNS: 11 * second, EndNS: 12 * second, Source: "requests", ExperimentID: text("e1")},
		{WindowID: "g", RunID: "r", Fault: "abort", StartNS: 11 * second, EndNS: 12 * second, Source: "requests"},
	}
	var got []string
	for _, g := range groupFaults(windows, map[string]runExtent{"r": {0, 100 * second}}) {
		f := g.joined()
		got = append(got, fmt.Sprint(f.RunID, " ", f.Fault, " ", f.Kinds, " ", f.WindowIDs, " ", f.EndNS/second))
	}
	require.ElementsMatch(t, []string{
		"r brownout [latency timeout] [a b i] 20", "r reset [] [c] 12", "r abort [] [d] 22", "other abort [] [f] 12", "r abort [] [g] 12",
	}, got)
}
