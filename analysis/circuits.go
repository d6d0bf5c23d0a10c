package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
)

// Circuits is the answer to: what did the circuit breakers do?
type Circuits struct {
	Scope
	// CompleteFromUTC: spans that started earlier may have been deleted; nil:
	// none was.
	CompleteFromUTC *string `json:"complete_from_utc"`
	// Rows are the circuits, most trips first.
	Rows []Circuit `json:"rows"`
	// Transitions are the changes of state in the interval, in order of time;
	// Left is how many more there are than were asked for: the earliest are
	// left out.
	Transitions []CircuitTransition `json:"transitions"`
	Left        int64               `json:"transitions_left_out"`
	Trips       int64               `json:"trips"`
	Rejected    int64               `json:"rejected"`
	StillOpen   int64               `json:"still_open"` // circuits
}

// Circuit sums up one circuit breaker of one instance.
type Circuit struct {
	RunID    string `json:"run_id"`
	Service  string `json:"service"`
	Instance string `json:"instance"` // empty: none is said
	Circuit  string `json:"circuit"`
	// Trips is how often it opened other than out of half open, Reopened how
	// often out of half open: after probes that failed.
	Trips    int64 `json:"trips"`
	Reopened int64 `json:"reopened"`
	// Probes is how often it became half open.
	Probes int64 `json:"probes"`
	// Closed is how often it closed.
	Closed int64 `json:"closed"`
	// OpenS is how long it was known to be open: from each sighting as open to
	// the next sighting. nil where it was never seen.
	OpenS *float64 `json:"open_s"`
	// RecoveryS is the mean from a trip to being next seen closed, MaxRecoveryS
	// the longest; nil where it never was.
	RecoveryS    *float64 `json:"recovery_s"`
	MaxRecoveryS *float64 `json:"max_recovery_s"`
	Rejected     int64    `json:"rejected"` // calls with outcome circuit_open
	// State is the last that was seen; empty where only refused calls name the
	// circuit.
	State string `json:"state"`
	// StillOpen tells whether it was open, or half open, when last seen:
	// OpenS then lacks the time since SinceUTC.
	StillOpen bool    `json:"still_open"`
	SinceUTC  *string `json:"since_utc"` // of State
	SinceNS   *int64  `json:"since_ns"`
}

// CircuitTransition is a change of state, as the relation circuits has it.
type CircuitTransition struct {
	RunID     string `json:"run_id"`
	Service   string `json:"service"`
	Instance  string `json:"instance"`
	Circuit   string `json:"circuit"`
	AtUTC     string `json:"at_utc"`
	AtNS      int64  `json:"at_ns"`
	FromState string `json:"from_state"` // closed, open or half_open
	ToState   string `json:"to_state"`
}

// CircuitsQuery asks for the circuits and their last changes.
type CircuitsQuery struct {
	Query
	Limit int // of transitions, the last ones; 0: all
}

// AskCircuits answers from the sightings of states in the interval: what was
// seen before it only tells the state in which it begins. In a file of a schema
// without circuits it returns storage.ErrOlder.
func AskCircuits(ctx context.Context, tx *sql.Tx, q CircuitsQuery) (*Circuits, error) {
	r, err := newActivityReading(ctx, tx, q.Query)
	if err != nil {
		return nil, fmt.Errorf("circuits: %w", err)
	}
	answer := &Circuits{Scope: r.scope, CompleteFromUTC: r.completeFrom, Rows: []Circuit{}, Transitions: []CircuitTransition{}}
	if err := r.readSightings(ctx, tx, answer); err != nil {
		return nil, fmt.Errorf("circuits: %w", err)
	}
	if err := r.readRejected(ctx, tx, answer); err != nil {
		return nil, fmt.Errorf("circuits: %w", err)
	}
	slices.SortFunc(answer.Rows, func(a, b Circuit) int {
		return cmp.Or(cmp.Compare(b.Trips, a.Trips), cmp.Compare(b.Rejected, a.Rejected), cmp.Compare(b.Reopened, a.Reopened), a.compareName(&b))
	})
	for i := range answer.Rows {
		c := &answer.Rows[i]
		answer.Trips += c.Trips
		answer.Rejected += c.Rejected
		if c.StillOpen {
			answer.StillOpen++
		}
	}
	slices.SortStableFunc(answer.Transitions, func(a, b CircuitTransition) int {
		return cmp.Or(cmp.Compare(a.AtNS, b.AtNS), cmp.Compare(a.RunID, b.RunID), cmp.Compare(a.Service, b.Service),
			cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Circuit, b.Circuit))
	})
	if n := len(answer.Transitions); q.Limit > 0 && n > q.Limit {
		answer.Left = int64(n - q.Limit)
		answer.Transitions = slices.Clone(answer.Transitions[n-q.Limit:])
	}
	return answer, nil
}

func (c *Circuit) compareName(o *Circuit) int {
	return cmp.Or(cmp.Compare(c.RunID, o.RunID), cmp.Compare(c.Service, o.Service), cmp.Compare(c.Circuit, o.Circuit),
		cmp.Compare(c.Instance, o.Instance))
}

// readSightings goes through the sightings, circuit by circuit.
func (r *activityReading) readSightings(ctx context.Context, tx *sql.Tx, answer *Circuits) error {
	const query = `SELECT run_id, service, instance, circuit, at_ns, state, from_state FROM circuit_state
		WHERE at_ns < ?1 AND (?2 IS NULL OR run_id = ?2)
		ORDER BY run_id, service, instance, circuit, at_ns,
			CASE from_state WHEN 'closed' THEN 1 WHEN 'open' THEN 2 WHEN 'half_open' THEN 3 ELSE 4 END, state`
	rows, err := tx.QueryContext(ctx, query, r.to, r.query.Run)
	if err != nil {
		return fmt.Errorf("read states: %w", err)
	}
	defer rows.Close()
	var c *circuitCourse
	for rows.Next() {
		var next Circuit
		var s sighting
		if err := rows.Scan(&next.RunID, &next.Service, &next.Instance, &next.Circuit, &s.at, &s.state, &s.from); err != nil {
			return fmt.Errorf("read states: %w", err)
		}
		if c == nil || c.compareName(&next) != 0 {
			c.finish(answer)
			c = &circuitCourse{Circuit: next, from: r.from, state: stateClosed}
		}
		c.see(s, answer)
	}
	c.finish(answer)
	return rows.Err()
}

// readRejected counts the calls that circuits refused.
func (r *activityReading) readRejected(ctx context.Context, tx *sql.Tx, answer *Circuits) error {
	query := `SELECT s.run_id, s.service, coalesce(` + r.profile("instance") + `, '') AS instance, ` + r.profile("circuit") + ` AS circuit, count(*)
		FROM request AS r JOIN series AS s ON s.series_id = r.series_id
		WHERE r.kept & 4 AND s.outcome = 'circuit_open' AND ` + r.inInterval() + ` AND (?3 IS NULL OR s.run_id = ?3)
		GROUP BY 1, 2, 3, 4 HAVING circuit IS NOT NULL`
	rows, err := tx.QueryContext(ctx, query, r.firstSpan, r.lastSpan, r.query.Run)
	if err != nil {
		return fmt.Errorf("count refused calls: %w", err)
	}
	defer rows.Close()
	known := map[[4]string]int{}
	for i := range answer.Rows {
		c := &answer.Rows[i]
		known[[4]string{c.RunID, c.Service, c.Instance, c.Circuit}] = i
	}
	for rows.Next() {
		var c Circuit
		if err := rows.Scan(&c.RunID, &c.Service, &c.Instance, &c.Circuit, &c.Rejected); err != nil {
			return fmt.Errorf("count refused calls: %w", err)
		}
		if i, ok := known[[4]string{c.RunID, c.Service, c.Instance, c.Circuit}]; ok {
			answer.Rows[i].Rejected = c.Rejected
		} else {
			answer.Rows = append(answer.Rows, c)
		}
	}
	return rows.Err()
}
