package check

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// Status is what became of a rule.
type Status string

// The statuses, from good to bad; no data is worse than a warning and better
// than a failure.
const (
	Pass   Status = "pass"
	Warn   Status = "warn"
	NoData Status = "no data"
	Fail   Status = "fail"
)

// Options say what is checked.
type Options struct {
	// Query selects the requests.
	Query analysis.Query
	Rules []Rule
	// Warmup is left out at the beginning: of Query.From, else of Began, when the
	// first request began.
	Warmup time.Duration
	Began  time.Time
	// SLOs checks the service level objectives of the file.
	SLOs bool
	// Tests checks that no test failed of those that spans tell of.
	Tests bool
	// Regressions bound how much worse than a baseline the requests may be.
	Regressions []Regression
	// BaselineTx is the transaction that the baseline is read in; Comparison
	// says what it is, and how to compare. Its candidate is Query, and its
	// smallest change the smallest limit.
	BaselineTx *sql.Tx
	Comparison analysis.ComparisonQuery
}

// Result is what became of one rule.
type Result struct {
	// Check says what was checked: p99, error_rate … of a rule, "slo NAME" of an
	// objective, "chaos tests", "p99 regression" of a comparison with a baseline.
	Check    string  `json:"check"`
	Category *string `json:"category"` // nil: those of the answer
	Model    *string `json:"model"`    // nil: every one
	Status   Status  `json:"status"`
	// Value, Warn and Fail are milliseconds, fractions, requests per second, US
	// dollars or a count, by the figure; of a regression the relative change.
	// Value is nil where there is none.
	Value *float64 `json:"value"`
	Warn  *float64 `json:"warn"`
	Fail  *float64 `json:"fail"`
	// Minimum tells that the value must not be below its levels.
	Minimum bool   `json:"minimum"`
	Unit    string `json:"unit"` // ms, /s, USD, share (a fraction), or empty: a count
	// Message says what stands behind the status; may be empty.
	Message string `json:"message"`
}

// Report is the outcome of a check.
type Report struct {
	analysis.Scope
	Requests int64    `json:"requests"`
	Status   Status   `json:"status"`  // the worst of the results
	Results  []Result `json:"results"` // in the order of the rules
	Passed   int      `json:"passed"`
	Warned   int      `json:"warned"`
	Failed   int      `json:"failed"`
	NoData   int      `json:"no_data"`
	// Comparison is what regressions were judged by; nil without.
	Comparison *analysis.Comparison `json:"comparison"`
}

// Run checks a file. Failing rules are no error.
func Run(ctx context.Context, tx *sql.Tx, o Options) (*Report, error) {
	r := &runner{ctx: ctx, tx: tx, query: o.warmedUp(), loads: map[string]*analysis.Load{}}
	all, err := r.load("", r.query, nil)
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	report := &Report{Scope: all.Scope, Results: []Result{}}
	for _, row := range all.Rows {
		report.Requests += row.Requests
	}
	for i := range o.Rules {
		result, err := r.check(&o.Rules[i])
		if err != nil {
			return nil, fmt.Errorf("check: %w", err)
		}
		report.add(result)
	}
	if o.SLOs {
		results, err := r.objectives()
		if err != nil {
			return nil, fmt.Errorf("check: %w", err)
		}
		for _, result := range results {
			report.add(result)
		}
	}
	if o.Tests {
		result, err := r.tests(o.Query)
		if err != nil {
			return nil, fmt.Errorf("check: %w", err)
		}
		report.add(result)
	}
	if len(o.Regressions) > 0 {
		if err := report.compare(ctx, tx, &o); err != nil {
			return nil, fmt.Errorf("check: %w", err)
		}
	}
	return report, nil
}

// warmedUp returns the query without the warm-up.
func (o *Options) warmedUp() analysis.Query {
	q := o.Query
	if o.Warmup > 0 {
		if q.From.IsZero() {
			q.From = o.Began
		}
		q.From = q.From.Add(o.Warmup)
	}
	return q
}

func (r *Report) add(result Result) {
	r.Results = append(r.Results, result)
	switch result.Status {
	case Pass:
		r.Passed++
	case Warn:
		r.Warned++
	case Fail:
		r.Failed++
	default:
		r.NoData++
	}
	switch {
	case r.Failed > 0:
		r.Status = Fail
	case r.NoData > 0:
		r.Status = NoData
	case r.Warned > 0:
		r.Status = Warn
	default:
		r.Status = Pass
	}
}

// runner reads what rules need, each of it once.
type runner struct {
	ctx   context.Context
	tx    *sql.Tx
	query analysis.Query
	loads map[string]*analysis.Load
}

func (r *runner) load(key string, q analysis.Query, by []string) (*analysis.Load, error) {
	if known, ok := r.loads[key]; ok {
		return known, nil
	}
	load, err := analysis.AskLoad(r.ctx, r.tx, analysis.LoadQuery{Query: q, By: by})
	r.loads[key] = load
	return load, err
}

// row returns the figures that a rule is about; nil where there are none.
func (r *runner) row(rule *Rule) (*analysis.LoadRow, error) {
	q, key := r.query, ""
	var by []string
	switch {
	case rule.Category != nil:
		q.Categories, key = []aggregator.Category{*rule.Category}, "category "+rule.Category.String()
	case rule.Model != nil:
		by, key = []string{"model"}, "models"
	}
	load, err := r.load(key, q, by)
	if err != nil {
		return nil, err
	}
	for i := range load.Rows {
		if rule.Model == nil || load.Rows[i].Values[0] == *rule.Model {
			return &load.Rows[i], nil
		}
	}
	return nil, nil
}

func (r *runner) check(rule *Rule) (Result, error) {
	m, ok := metricOf(rule.Metric)
	if !ok {
		return Result{}, fmt.Errorf("rule %q: must be one of %s", rule.Metric, strings.Join(Names(), ", "))
	}
	result := Result{Check: m.name, Model: rule.Model, Warn: rule.Warn, Fail: rule.Fail, Minimum: m.minimum, Unit: m.unit}
	if m.share {
		result.Unit = "share"
	}
	if rule.Category != nil {
		name := rule.Category.String()
		result.Category = &name
	}
	err := r.measure(&m, rule, &result)
	if err == nil && result.Value != nil {
		result.Status = rule.judge(*result.Value)
	}
	return result, err
}

// measure fills in the value, or says why there is none.
func (r *runner) measure(m *metric, rule *Rule, result *Result) error {
	result.Status = NoData
	if m.value == nil {
		circuits, err := analysis.AskCircuits(r.ctx, r.tx, analysis.CircuitsQuery{Query: r.query, Limit: 1})
		if errors.Is(err, storage.ErrOlder) {
			result.Message = tooOld
			return nil
		}
		if err != nil {
			return err
		}
		result.Message = "no span names a circuit"
		if len(circuits.Rows) > 0 {
			trips := float64(circuits.Trips)
			result.Value, result.Message = &trips, ""
		}
		return nil
	}
	row, err := r.row(rule)
	if err != nil {
		return err
	}
	if row == nil {
		result.Message = "no requests"
		return nil
	}
	if result.Value = m.value(row); result.Value == nil {
		result.Message = "no values"
	}
	if m.name == "cost" && row.PricedCount > 0 && row.PricedCount < row.UsageCount {
		result.Message = fmt.Sprintf("the cost of %d of %d requests with tokens is known", row.PricedCount, row.UsageCount)
	}
	return nil
}
