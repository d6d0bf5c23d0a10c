package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// ComparisonQuery asks whether a candidate differs from a baseline.
type ComparisonQuery struct {
	// Baseline and Candidate say which spans are compared: of two runs, or two
	// windows. Both are asked for the same categories and width; those of
	// Baseline count.
	Baseline, Candidate Query
	// By names the dimensions that make the strata, the model by default: figures
	// are computed in each stratum, and put together with the same weights on
	// both sides, so that another mix does not look like a change. Not nil and
	// empty: no strata.
	By []string
	// Warmup is left out at the beginning of both sides; none by default.
	Warmup time.Duration
	// MinChange is the smallest relative change that gets a verdict, a fraction;
	// 0 means DefaultMinChange.
	MinChange float64
	// Seed of the resampling; 0 means DefaultSeed.
	Seed uint64
}

// Defaults of a ComparisonQuery.
const (
	DefaultMinChange = 0.05
	DefaultSeed      = 1
)

// comparisonReplicates is how often the buckets are resampled.
const comparisonReplicates = 1000

// MinComparedBuckets is how many buckets a side must have for a verdict.
const MinComparedBuckets = 30

// Verdict says what a comparison has shown of a figure.
type Verdict string

// The verdicts. VerdictBetter and VerdictWorse are given only where the
// interval of the change excludes zero and the change is at least MinChange.
const (
	VerdictBetter     Verdict = "better"
	VerdictWorse      Verdict = "worse"
	VerdictNoEvidence Verdict = "no evidence"
	VerdictTooLittle  Verdict = "too little data"
)

// Comparison is the answer to ComparisonQuery.
type Comparison struct {
	Baseline  ComparedSide `json:"baseline"`
	Candidate ComparedSide `json:"candidate"`
	// WidthS is the width of the buckets that were compared, DurationS how long
	// each side is, both in seconds; WarmupS was cut off before.
	WidthS    int64 `json:"width_s"`
	Buckets   int64 `json:"buckets"` // of each side
	DurationS int64 `json:"duration_s"`
	WarmupS   int64 `json:"warmup_s"`
	// By are the dimensions of the strata.
	By         []string          `json:"by"`
	Strata     []ComparedStratum `json:"strata"` // most weight first
	Metrics    []ComparedMetric  `json:"metrics"`
	MinChange  float64           `json:"min_change"`
	Seed       uint64            `json:"seed"`
	Replicates int               `json:"replicates"`
	// Notes say in sentences what the answer cannot know or has left out.
	Notes []string `json:"notes"`
}

// ComparedSide is one side of a comparison.
type ComparedSide struct {
	Scope
	Requests int64 `json:"requests"`
	// Why says why nothing of the side is compared; empty where something could
	// be.
	Why string `json:"why"`
	// BlockS is the length of the blocks that were resampled, in seconds; 0
	// where there was too little data.
	BlockS int64 `json:"block_s"`
}

// ComparedStratum is a stratum with its requests on both sides. Weight is its
// share of the figures that are put together from strata; 0 where it is missing
// on one side.
type ComparedStratum struct {
	Values            []string `json:"values"` // of the dimensions, as Comparison.By
	BaselineRequests  int64    `json:"baseline_requests"`
	CandidateRequests int64    `json:"candidate_requests"`
	Weight            float64  `json:"weight"`
}

// ComparedMetric is one figure of both sides. What does not exist is nil.
type ComparedMetric struct {
	// Name is one of MetricNames.
	Name          string `json:"name"`
	LowerIsBetter bool   `json:"lower_is_better"`
	// Baseline and Candidate are the figures, in the unit of the name, put
	// together from the strata; the counts say how many values they come from.
	Baseline       *float64 `json:"baseline"`
	Candidate      *float64 `json:"candidate"`
	BaselineCount  int64    `json:"baseline_count"`
	CandidateCount int64    `json:"candidate_count"`
	// Change is Candidate/Baseline - 1; Low and High are the ends of its 95 %
	// interval, nil where the interval has no such end.
	Change  *float64 `json:"change"`
	Low     *float64 `json:"low"`
	High    *float64 `json:"high"`
	Verdict Verdict  `json:"verdict"`
	// Why says what stands in the way of a verdict; empty where nothing does.
	Why string `json:"why"`
}

// Metric returns the metric of that name; nil where there is none.
func (c *Comparison) Metric(name string) *ComparedMetric {
	for i := range c.Metrics {
		if c.Metrics[i].Name == name {
			return &c.Metrics[i]
		}
	}
	return nil
}

// AskComparison compares spans of one file, or of two: baseline and candidate
// are read transactions, which may be the same.
func AskComparison(ctx context.Context, baseline, candidate *sql.Tx, q ComparisonQuery) (*Comparison, error) {
	answer, err := askComparison(ctx, baseline, candidate, q)
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	return answer, nil
}
