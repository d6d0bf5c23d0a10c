package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// AnomaliesQuery asks what was out of the ordinary.
type AnomaliesQuery struct {
	Query
	// SilenceS is how many seconds without requests are remarkable at least; 0
	// means 30.
	SilenceS int64
}

// The kinds of anomalies.
const (
	AnomalySilence         = "silence"          // no requests, with requests before and after
	AnomalyZeroSuccess     = "zero_success"     // requests, but none succeeded
	AnomalyThroughputCliff = "throughput_cliff" // far fewer successes than just before
	AnomalyLatencySpike    = "latency_spike"    // far slower than the time around it
	AnomalyErrorCluster    = "error_cluster"    // nearly all errors fall into a small part of the time
	AnomalyUnexpectedError = "unexpected_error" // a kind of error that no known fault explains
)

// The severities of anomalies.
const (
	SeverityLow    = "low"
	SeverityMedium = "medium"
	SeverityHigh   = "high"
)

// maxAnomalies bounds the rows of an answer.
const maxAnomalies = 200

// Anomalies is the answer to AnomaliesQuery.
type Anomalies struct {
	Scope
	WidthS int64 `json:"width_s"` // of the buckets in which silence is looked for; 0 where there is none
	// RateWidthS is the width of the buckets in which rates and latencies are
	// compared: wide enough to hold 50 requests on average.
	RateWidthS int64 `json:"rate_width_s"`
	Requests   int64 `json:"requests_total"`
	// Unexpected and Expected count the rows, and what is left out of them.
	Unexpected int       `json:"unexpected"`
	Expected   int       `json:"expected"` // explained by a known fault
	Rows       []Anomaly `json:"rows"`     // by time, the first 200
}

// Anomaly is something out of the ordinary.
type Anomaly struct {
	Kind     string `json:"kind"`
	Severity string `json:"severity"`
	// Expected: it begins inside the window of a fault, one of Faults. It is no
	// sign of anything else being wrong.
	Expected  bool     `json:"expected"`
	Faults    []string `json:"faults"`
	Start     int64    `json:"start"` // Unix seconds
	StartUTC  string   `json:"start_utc"`
	End       int64    `json:"end"` // not included
	EndUTC    string   `json:"end_utc"`
	DurationS int64    `json:"duration_s"`
	// StillActive: it lasts until the end of the data.
	StillActive bool `json:"still_active"`
	// Figure is what was seen and Reference what it is compared with, both in
	// Unit; nil where there is nothing to compare with.
	Figure    *float64 `json:"figure"`
	Reference *float64 `json:"reference"`
	Unit      string   `json:"unit"`
	Text      string   `json:"text"` // one sentence

	slackS int64 // how far from Start a fault may be that explains it
}

const (
	defaultSilenceS       = 30
	rateRequestsPerBucket = 50
)

// AskAnomalies looks for silence, periods without success, throughput cliffs,
// latency spikes, error clusters and unexpected errors; docs/answers.md says
// how. Everything is measured on an axis without gaps.
func AskAnomalies(ctx context.Context, tx *sql.Tx, q AnomaliesQuery) (*Anomalies, error) {
	if q.SilenceS == 0 {
		q.SilenceS = defaultSilenceS
	}
	if q.SilenceS < 0 {
		return nil, fmt.Errorf("anomalies: silence of %d s: must not be negative: %w", q.SilenceS, ErrQuery)
	}
	o, err := observe(ctx, tx, q.Query, nil)
	if err != nil {
		return nil, fmt.Errorf("anomalies: %w", err)
	}
	return o.anomalies(ctx, tx, q)
}

// anomalies answers a query that has been checked.
func (o *observed) anomalies(ctx context.Context, tx *sql.Tx, q AnomaliesQuery) (*Anomalies, error) {
	s := &anomalySearch{observed: o, silenceS: q.SilenceS, wide: o.holding(rateRequestsPerBucket)}
	var err error
	if s.runs, err = s.fine.readRuns(ctx, tx); err != nil {
		return nil, fmt.Errorf("anomalies: %w", err)
	}
	for _, look := range []func(context.Context, *sql.Tx) error{
		s.silences, s.zeroSuccess, s.cliffs, s.spikes, s.clusters, s.unexpected,
	} {
		if err := look(ctx, tx); err != nil {
			return nil, fmt.Errorf("anomalies: %w", err)
		}
	}
	return s.answer(), nil
}

// anomalySearch is what the kinds of anomalies are looked for in.
type anomalySearch struct {
	*observed
	silenceS int64
	wide     *ticks // with enough requests per bucket to compare
	runs     []runPresence
	found    []Anomaly
}

// report adds an anomaly that covers the buckets [from, to) of an axis.
func (s *anomalySearch) report(t *ticks, from, to int, a Anomaly) {
	a.Start, a.End = t.at(from), t.at(to)
	// A fault that begins or ends inside a bucket spoils all of it.
	s.add(a, t.widthS)
}

func (s *anomalySearch) add(a Anomaly, slackS int64) {
	a.StartUTC, a.EndUTC, a.DurationS = *utc(a.Start), *utc(a.End), a.End-a.Start
	a.slackS, a.Expected = slackS, s.faults.touch(a.Start-slackS, a.Start+slackS)
	s.found = append(s.found, a)
}

func (s *anomalySearch) answer() *Anomalies {
	answer := &Anomalies{Scope: s.fine.reading.scope, WidthS: s.fine.widthS, RateWidthS: s.wide.widthS, Rows: []Anomaly{}}
	total := s.fine.sum(0, s.fine.n)
	answer.Requests = total.requests
	slices.SortFunc(s.found, func(a, b Anomaly) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), strings.Compare(a.Kind, b.Kind), cmp.Compare(a.End, b.End), strings.Compare(a.Text, b.Text))
	})
	for i := range s.found {
		if s.found[i].Expected {
			answer.Expected++
		} else {
			answer.Unexpected++
		}
	}
	answer.Rows = append(answer.Rows, s.found[:min(len(s.found), maxAnomalies)]...)
	for i := range answer.Rows {
		a := &answer.Rows[i]
		a.Faults = []string{}
		if a.Expected {
			a.Faults = s.faults.during(a.Start-a.slackS, a.Start+a.slackS)
		}
	}
	return answer
}

// graded returns the severity of a figure: high from high on, medium from
// medium on.
func graded(figure, medium, high float64) string {
	switch {
	case figure >= high:
		return SeverityHigh
	case figure >= medium:
		return SeverityMedium
	}
	return SeverityLow
}
