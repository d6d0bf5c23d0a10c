package analysis

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// BurstsQuery asks when requests were refused: turned away over a rate limit or
// for lack of capacity.
type BurstsQuery struct {
	Query
	// StartShare is the share of refused requests above which a burst starts,
	// EndShare the one below which it ends; both 0 mean 0.3 and 0.1.
	StartShare, EndShare float64
	// MinRefused is how many refused requests make a burst at least; 0 means 3.
	MinRefused int64
}

// The thresholds of bursts.
const (
	defaultBurstStart      = 0.3
	defaultBurstEnd        = 0.1
	defaultBurstRefused    = 3
	burstRequestsPerBucket = 20 // on average, at least, where the width is chosen
	maxBursts              = 100
)

// Bursts is the answer to BurstsQuery.
type Bursts struct {
	Scope
	WidthS     int64   `json:"width_s"` // of the buckets that were looked at; 0 where there is none
	StartShare float64 `json:"start_share"`
	EndShare   float64 `json:"end_share"`
	MinRefused int64   `json:"min_refused"`
	Requests   int64   `json:"requests_total"`
	Count      int     `json:"bursts"`       // Rows and those that are left out of them
	StillOpen  int     `json:"still_active"` // 0 or 1
	Rows       []Burst `json:"rows"`         // the first 100, by time
	// AIMD says how clients behaved; nil without requests.
	AIMD *AIMD `json:"aimd"`
}

// Burst is a stretch of time in which requests were refused.
type Burst struct {
	Start    int64  `json:"start"` // Unix seconds
	StartUTC string `json:"start_utc"`
	// End is where the last bucket with a share of EndShare or more ends;
	// silence after it does not belong to the burst.
	End       int64  `json:"end"`
	EndUTC    string `json:"end_utc"`
	DurationS int64  `json:"duration_s"`
	// StillActive: the data end before the share has fallen below EndShare.
	StillActive bool `json:"still_active"`
	// RecoveryS is the time from the end of the last bucket above StartShare
	// until the first bucket with requests below EndShare; nil while it is
	// still active.
	RecoveryS      *int64   `json:"recovery_s"`
	Requests       int64    `json:"requests_total"`
	RateLimited    int64    `json:"requests_rate_limited"`
	CapacityErrors int64    `json:"requests_capacity_error"`
	RefusedShare   *float64 `json:"refused_share"`
	PeakShare      float64  `json:"peak_refused_share"` // of one bucket
	// Resends counts attempts after the first, as requests tell of them; nil
	// where no request of the answer does. ClientResends are those that spans of
	// HTTP clients (category client) tell of instead; nil where requests do, or
	// none does.
	Resends       *int64 `json:"resends"`
	ClientResends *int64 `json:"client_resends"`
	// Faults whose windows overlap the burst.
	Faults []string `json:"faults"`
	// Before and After are as long as the burst, at least three buckets, but
	// for what lies outside the data or in another burst; nil where nothing is
	// left.
	Before *BurstPhase `json:"before"`
	During *BurstPhase `json:"during"`
	After  *BurstPhase `json:"after"`

	from, to, recovered int // buckets; recovered < 0: still active
}

// BurstPhase sums up the time before, during or after a burst. Buckets that are
// cut are left out.
type BurstPhase struct {
	FromUTC        string   `json:"from_utc"`
	ToUTC          string   `json:"to_utc"`
	DurationS      int64    `json:"duration_s"`
	Requests       int64    `json:"requests_total"`
	Success        int64    `json:"requests_success"`
	SuccessPerS    float64  `json:"success_per_s"`
	RateLimited    int64    `json:"requests_rate_limited"`
	CapacityErrors int64    `json:"requests_capacity_error"`
	AvgMS          *float64 `json:"avg_latency_ms"`
	P95MS          *float64 `json:"p95_latency_ms"`
}

// AskBursts answers on an axis without gaps: of q.Width, else of the narrowest
// width that cuts the data into at most 10,000 buckets which hold, where there
// are requests, 20 on average; at least 20 buckets are left. A bucket without
// requests is silence: it neither starts nor ends a burst.
func AskBursts(ctx context.Context, tx *sql.Tx, q BurstsQuery) (*Bursts, error) {
	if err := q.check(); err != nil {
		return nil, fmt.Errorf("bursts: %w", err)
	}
	o, err := observe(ctx, tx, q.Query, nil)
	if err != nil {
		return nil, fmt.Errorf("bursts: %w", err)
	}
	return o.bursts(ctx, tx, &q)
}

// bursts answers a query that has been checked.
func (o *observed) bursts(ctx context.Context, tx *sql.Tx, q *BurstsQuery) (*Bursts, error) {
	t := o.holding(burstRequestsPerBucket)
	answer := &Bursts{
		Scope: t.reading.scope, WidthS: t.widthS, StartShare: q.StartShare, EndShare: q.EndShare, MinRefused: q.MinRefused,
	}
	all := t.bursts(q)
	answer.Count, answer.Rows = len(all), all[:min(len(all), maxBursts)]
	for i := range all {
		all[i].Faults = o.faults.during(all[i].Start, all[i].End)
		if all[i].StillActive {
			answer.StillOpen++
		}
	}
	if err := t.readPhases(ctx, tx, all, len(answer.Rows)); err != nil {
		return nil, fmt.Errorf("bursts: %w", err)
	}
	total := t.sum(0, t.n)
	answer.Requests, answer.AIMD = total.requests, t.aimd(&total, all)
	if err := answer.readResends(ctx, tx, t); err != nil {
		return nil, fmt.Errorf("bursts: %w", err)
	}
	return answer, nil
}

func (q *BurstsQuery) check() error {
	if q.StartShare == 0 && q.EndShare == 0 {
		q.StartShare, q.EndShare = defaultBurstStart, defaultBurstEnd
	}
	if q.MinRefused == 0 {
		q.MinRefused = defaultBurstRefused
	}
	// Written so that NaN is refused.
	if !(q.EndShare > 0 && q.EndShare <= q.StartShare && q.StartShare < 1) {
		return fmt.Errorf("start share %g, end share %g: must be 0 < end <= start < 1: %w", q.StartShare, q.EndShare, ErrQuery)
	}
	if q.MinRefused < 0 {
		return fmt.Errorf("min refused %d: must not be negative: %w", q.MinRefused, ErrQuery)
	}
	return nil
}

// bursts finds the bursts.
func (t *ticks) bursts(q *BurstsQuery) []Burst {
	all := []Burst{}
	var open *Burst
	var hot int // the end of the last bucket above StartShare
	for i := range t.rows {
		refused := t.rows[i].refusedShare()
		switch {
		case refused == nil:
		case open == nil && *refused > q.StartShare:
			open = &Burst{from: i, to: i + 1, recovered: -1, PeakShare: *refused}
			hot = i + 1
		case open != nil && *refused < q.EndShare:
			recovery := t.at(i) - t.at(hot)
			open.recovered, open.RecoveryS = i, &recovery
			all = t.appendBurst(all, open, q.MinRefused)
			open = nil
		case open != nil:
			open.to = i + 1
			open.PeakShare = max(open.PeakShare, *refused)
			if *refused > q.StartShare {
				hot = i + 1
			}
		}
	}
	if open != nil {
		open.StillActive = true
		all = t.appendBurst(all, open, q.MinRefused)
	}
	return all
}

func (t *ticks) appendBurst(all []Burst, b *Burst, minRefused int64) []Burst {
	sum := t.sum(b.from, b.to)
	if sum.outcomes.Refused() < minRefused {
		return all
	}
	b.Start, b.End = t.at(b.from), t.at(b.to)
	b.StartUTC, b.EndUTC, b.DurationS = *utc(b.Start), *utc(b.End), b.End-b.Start
	b.Requests, b.RefusedShare = sum.requests, sum.refusedShare()
	b.RateLimited = sum.outcomes[aggregator.OutcomeRateLimited]
	b.CapacityErrors = sum.outcomes[aggregator.OutcomeCapacityError]
	return append(all, *b)
}

// readPhases reads what the first n of all bursts were like, and the time
// around them.
func (t *ticks) readPhases(ctx context.Context, tx *sql.Tx, all []Burst, n int) error {
	for i := range all[:n] {
		b := &all[i]
		length := max(3, b.to-b.from)
		earliest, latest := t.first, t.last+1
		if i > 0 {
			earliest = all[i-1].to
			if done := all[i-1].recovered; done >= 0 {
				earliest = done
			}
		}
		if i+1 < len(all) {
			latest = all[i+1].from
		}
		var err error
		if b.Before, err = t.phase(ctx, tx, max(earliest, b.from-length), b.from); err != nil {
			return err
		}
		if b.During, err = t.phase(ctx, tx, b.from, b.to); err != nil {
			return err
		}
		if b.recovered < 0 {
			continue
		}
		if b.After, err = t.phase(ctx, tx, b.recovered, min(latest, b.recovered+length)); err != nil {
			return err
		}
	}
	return nil
}

// phase sums up the buckets [from, to) without those that are cut; nil where
// none is left.
func (t *ticks) phase(ctx context.Context, tx *sql.Tx, from, to int) (*BurstPhase, error) {
	for from < to && t.cut(from) {
		from++
	}
	for to > from && t.cut(to-1) {
		to--
	}
	if from >= to {
		return nil, nil
	}
	cell, err := t.cell(ctx, tx, from, to)
	if err != nil {
		return nil, err
	}
	n, latency := &cell.Counters, newDistribution(&cell.Measures[aggregator.MeasureDuration], overviewPercentiles)
	p := &BurstPhase{
		FromUTC: *utc(t.at(from)), ToUTC: *utc(t.at(to)), DurationS: t.at(to) - t.at(from),
		Requests: n[aggregator.Requests], Success: n[aggregator.OutcomeCounter(aggregator.OutcomeSuccess)],
		RateLimited:    n[aggregator.OutcomeCounter(aggregator.OutcomeRateLimited)],
		CapacityErrors: n[aggregator.OutcomeCounter(aggregator.OutcomeCapacityError)],
		AvgMS:          latency.AvgMS, P95MS: latency.Percentiles.Get("p95"),
	}
	p.SuccessPerS = float64(p.Success) / float64(p.DurationS)
	return p, nil
}
