package analysis

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// The states of a diagnosis.
const (
	StatusOK       = "OK"
	StatusWarning  = "WARNING"
	StatusCritical = "CRITICAL"
	StatusNoData   = "NO_DATA"
)

// The shares of successes below which a diagnosis is CRITICAL or a WARNING.
const (
	criticalBelow = 0.5
	warningBelow  = 0.8
)

// Words for the share of requests over a rate limit.
const (
	PressureClean    = "CLEAN"    // none
	PressureLight    = "LIGHT"    // up to 0.1
	PressureModerate = "MODERATE" // up to 0.3
	PressureStressed = "STRESSED" // above
)

// Diagnosis says in one paragraph how it went.
type Diagnosis struct {
	Scope
	// Status is CRITICAL when less than half of the requests succeeded; WARNING
	// when less than 0.8 did, when a burst is still active, or when an anomaly
	// of high severity is not explained by a known fault; NO_DATA without
	// requests; else OK.
	Status string `json:"status"`
	// Reasons tell why the status is not OK; empty where it is.
	Reasons          []string `json:"reasons"`
	Text             string   `json:"text"` // at most 600 characters
	Requests         int64    `json:"requests_total"`
	Errors           int64    `json:"errors"`
	SuccessShare     *float64 `json:"success_share"`
	RateLimitedShare *float64 `json:"rate_limited_share"`
	RefusedShare     *float64 `json:"refused_share"`
	// RateLimitPressure is a word for RateLimitedShare; empty without requests.
	RateLimitPressure string        `json:"rate_limit_pressure"`
	P95MS             *float64      `json:"p95_latency_ms"`
	TopErrors         []ErrorAmount `json:"top_errors"` // most requests first, at most three
	// Patterns are names with a number, such as burst_periods(3).
	Patterns []string      `json:"patterns"`
	AIMD     *AIMD         `json:"aimd"`   // nil without requests
	Faults   *FaultSummary `json:"faults"` // nil without faults
}

// ErrorAmount counts the failed requests of one type.
type ErrorAmount struct {
	Outcome   string  `json:"outcome"`
	ErrorType string  `json:"error_type"` // empty: none was given, or buckets by series are too wide to tell
	Count     int64   `json:"count"`
	Share     float64 `json:"share"` // of all requests
}

// AskDiagnosis answers from the other questions: bursts, anomalies, errors and
// the impact of faults, all of the same transaction.
func AskDiagnosis(ctx context.Context, tx *sql.Tx, q Query) (*Diagnosis, error) {
	d, err := diagnose(ctx, tx, FaultImpactQuery{Query: q})
	if err != nil {
		return nil, fmt.Errorf("diagnosis: %w", err)
	}
	return d.Diagnosis, nil
}

// Behaviour is a diagnosis and what it is made of.
type Behaviour struct {
	Diagnosis *Diagnosis
	Bursts    *Bursts    // as AskBursts answers
	Anomalies *Anomalies // as AskAnomalies answers
	// Faults are as AskFaultImpactOf answers; nil in a file of a schema without
	// fault windows.
	Faults *FaultImpact
}

// AskBehaviour answers four questions and reads the buckets once. The query is
// that of all, and says how many faults there are at most.
func AskBehaviour(ctx context.Context, tx *sql.Tx, q FaultImpactQuery) (*Behaviour, error) {
	d, err := diagnose(ctx, tx, q)
	if err != nil {
		return nil, fmt.Errorf("behaviour: %w", err)
	}
	return &Behaviour{d.Diagnosis, d.bursts, d.anomalies, d.impact}, nil
}

func diagnose(ctx context.Context, tx *sql.Tx, q FaultImpactQuery) (*diagnosing, error) {
	o, err := observe(ctx, tx, q.Query, q.Windows)
	if err != nil {
		return nil, err
	}
	d := &diagnosing{observed: o, Diagnosis: &Diagnosis{
		Scope: o.fine.reading.scope, Status: StatusNoData, Reasons: []string{}, TopErrors: []ErrorAmount{}, Patterns: []string{},
	}}
	if err := d.readBehaviour(ctx, tx); err != nil {
		return nil, err
	}
	if d.impact, err = AskFaultImpactOf(ctx, tx, q); err != nil && !errors.Is(err, storage.ErrOlder) {
		return nil, err
	}
	if total := o.fine.sum(0, o.fine.n); total.requests > 0 {
		if err := d.read(ctx, tx, &total); err != nil {
			return nil, err
		}
	}
	d.judge()
	d.Text = d.paragraph()
	return d, nil
}

// diagnosing is a diagnosis in the making.
type diagnosing struct {
	*observed
	*Diagnosis
	bursts    *Bursts
	anomalies *Anomalies
	impact    *FaultImpact
	errors    []*errorTotal // most requests first
}

// readBehaviour answers the questions that the diagnosis is made of.
func (d *diagnosing) readBehaviour(ctx context.Context, tx *sql.Tx) (err error) {
	query := BurstsQuery{Query: d.query}
	if err := query.check(); err != nil {
		return err
	}
	if d.bursts, err = d.observed.bursts(ctx, tx, &query); err != nil {
		return err
	}
	d.anomalies, err = d.observed.anomalies(ctx, tx, AnomaliesQuery{Query: d.query, SilenceS: defaultSilenceS})
	return err
}

func (d *diagnosing) read(ctx context.Context, tx *sql.Tx, total *tick) error {
	d.Requests = total.requests
	d.Errors = total.errors()
	d.SuccessShare = share(total.outcomes.Success(), total.requests)
	d.RateLimitedShare = share(total.outcomes[aggregator.OutcomeRateLimited], total.requests)
	d.RefusedShare = total.refusedShare()
	d.RateLimitPressure = pressure(*d.RateLimitedShare)
	cell, err := d.fine.cell(ctx, tx, 0, d.fine.n)
	if err != nil {
		return err
	}
	latency := newDistribution(&cell.Measures[aggregator.MeasureDuration], overviewPercentiles)
	d.P95MS = latency.Percentiles.Get("p95")
	d.AIMD = d.bursts.AIMD
	if err := d.readErrors(ctx, tx, &total.outcomes); err != nil {
		return err
	}
	d.Faults = d.impact.summary()
	d.Patterns = d.patterns()
	return nil
}

func pressure(rateLimited float64) string {
	switch {
	case rateLimited > 0.3:
		return PressureStressed
	case rateLimited > 0.1:
		return PressureModerate
	case rateLimited > 0:
		return PressureLight
	}
	return PressureClean
}

const maxTopErrors = 3

// readErrors counts the errors by type.
func (d *diagnosing) readErrors(ctx context.Context, tx *sql.Tx, outcomes *Outcomes) error {
	// All buckets that hold any of these requests, also those that have not
	// settled as a whole.
	q := d.query
	q.From, q.To, q.IncludeOpen = time.Unix(d.fine.segment.From, 0), time.Unix(d.fine.segment.To, 0), true
	r, series, err := errorSeries(ctx, tx, q)
	if err != nil {
		return err
	}
	all, err := r.readErrors(ctx, tx, series, func(seriesValues) bool { return true }, false)
	if err != nil {
		return err
	}
	d.errors = within(outcomes, all)
	for _, e := range d.errors[:min(len(d.errors), maxTopErrors)] {
		d.TopErrors = append(d.TopErrors, ErrorAmount{
			Outcome: e.kind.outcome, ErrorType: e.kind.errorType, Count: e.requests, Share: float64(e.requests) / float64(d.Requests),
		})
	}
	return nil
}

// judge decides the status.
func (d *diagnosing) judge() {
	if d.Requests == 0 {
		return
	}
	d.Status = StatusOK
	because := func(status, reason string) {
		if d.Status != StatusCritical {
			d.Status = status
		}
		d.Reasons = append(d.Reasons, reason)
	}
	switch {
	case *d.SuccessShare < criticalBelow:
		because(StatusCritical, "less than half of the requests succeeded")
	case *d.SuccessShare < warningBelow:
		because(StatusWarning, "less than 80 % of the requests succeeded")
	}
	if d.bursts.StillOpen > 0 {
		because(StatusWarning, "requests were still refused when the data ended")
	}
	severe := 0
	for i := range d.anomalies.Rows {
		if a := &d.anomalies.Rows[i]; !a.Expected && a.Severity == SeverityHigh {
			severe++
		}
	}
	if severe > 0 {
		because(StatusWarning, counted(int64(severe), "severe anomaly", "severe anomalies")+" outside the known faults")
	}
}
