package check

import (
	"strings"

	"github.com/spanbucket/spanbucketexporter/analysis"
)

// metric is a figure that thresholds can be set for.
type metric struct {
	// name is the key in a file of thresholds; with - for _ it is the flag.
	name string
	// minimum: the value must not be below, else not above.
	minimum bool
	// share: the value is a fraction, 0 to 1.
	share bool
	// unit follows numbers in text.
	unit string
	// value returns the figure of some requests; nil where there is none. nil
	// itself for figures that are not of requests.
	value func(*analysis.LoadRow) *float64
}

// circuitTrips is how often circuit breakers opened.
const circuitTrips = "circuit_trips"

var metrics = []metric{
	{name: "p50", unit: "ms", value: func(r *analysis.LoadRow) *float64 { return r.Latency.Percentiles.Get("p50") }},
	{name: "p95", unit: "ms", value: func(r *analysis.LoadRow) *float64 { return r.Latency.Percentiles.Get("p95") }},
	{name: "p99", unit: "ms", value: func(r *analysis.LoadRow) *float64 { return r.Latency.Percentiles.Get("p99") }},
	{name: "ttft_p95", unit: "ms", value: func(r *analysis.LoadRow) *float64 { return r.TTFT.Percentiles.Get("p95") }},
	{name: "error_rate", share: true, value: func(r *analysis.LoadRow) *float64 { return r.ErrorRate }},
	{name: "min_rps", minimum: true, unit: "/s", value: func(r *analysis.LoadRow) *float64 { return r.RPS }},
	{name: "cost", unit: "USD", value: func(r *analysis.LoadRow) *float64 { return r.CostUSD }},
	{name: circuitTrips},
}

// Names are those of the figures that thresholds can be set for.
func Names() (names []string) {
	for _, m := range metrics {
		names = append(names, m.name)
	}
	return names
}

func metricOf(name string) (metric, bool) {
	for _, m := range metrics {
		if m.name == name {
			return m, true
		}
	}
	return metric{}, false
}

// regressions are the figures that can be compared with a baseline, by the name
// that is given, and those of a comparison.
var regressions = [][2]string{
	{"p50", "p50_latency_ms"}, {"p95", "p95_latency_ms"}, {"p99", "p99_latency_ms"}, {"avg", "avg_latency_ms"},
	{"ttft_p95", "p95_ttft_ms"}, {"error_rate", "error_rate"}, {"rps", "requests_per_s"}, {"cost", "cost_usd_per_request"},
	{"output_tokens", "output_tokens_per_s"},
}

// RegressionNames are those of the figures that can be compared with a baseline.
func RegressionNames() (names []string) {
	for _, r := range regressions {
		names = append(names, r[0])
	}
	return names
}

func comparedName(name string) (string, bool) {
	name = strings.ReplaceAll(name, "-", "_")
	for _, r := range regressions {
		if r[0] == name {
			return r[1], true
		}
	}
	return "", false
}
