package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
)

// strataAtOnce is how many strata are looked at together.
const strataAtOnce = 256

// writtenStratum is a row of request_stratum of the new file.
type writtenStratum struct {
	minuteS           int64
	category, outcome string
}

// chooseRequests has the strata of the new file choose among the rows that all
// files chose. mergeTables added them up, and copyRequests has all the rows.
func (m *merger) chooseRequests(ctx context.Context) error {
	most := math.MaxInt
	if text, err := m.mostForCause("requests_max_for_cause"); err != nil {
		return err
	} else if n, err := strconv.Atoi(text); err == nil && n > 0 {
		most = n
	}
	const next = `SELECT minute_s, category, outcome FROM request_stratum
		WHERE (minute_s, category, outcome) > (?, ?, ?) AND (spans > rows OR rows > ?) ORDER BY 1, 2, 3 LIMIT ?`
	last := writtenStratum{minuteS: math.MinInt64}
	for {
		var some []writtenStratum
		err := eachRow(ctx, m.out, next, func(rows *sql.Rows) error {
			var s writtenStratum
			err := rows.Scan(&s.minuteS, &s.category, &s.outcome)
			some = append(some, s)
			return err
		}, last.minuteS, last.category, last.outcome, most, strataAtOnce)
		for i := 0; i < len(some) && err == nil; i++ {
			last = some[i]
			err = m.chooseStratum(ctx, &last, most)
		}
		if err != nil {
			return fmt.Errorf("request_stratum: %w", err)
		}
		if len(some) < strataAtOnce {
			break
		}
	}
	for i := range m.result.Rows {
		if m.result.Rows[i].Relation == "request" {
			m.result.Rows[i].Written -= m.unchosen
		}
	}
	m.leaveOut("request", 0, m.unchosen, LeftSampled)
	return nil
}

// mostForCause is the rule for how many rows a stratum may have: as many as in
// the file that allows the fewest. One that chose nothing has nothing to say.
func (m *merger) mostForCause(key string) (string, error) {
	return m.extreme(key, func(a, b int64) bool { return a > 0 && (a < b || b <= 0) })
}

// chooseStratum merges what the files say of one stratum.
func (m *merger) chooseStratum(ctx context.Context, key *writtenStratum, most int) error {
	members, err := readChosen(ctx, m.out, key.minuteS, key.category, key.outcome)
	if err != nil {
		return err
	}
	merged := &sampling.Stratum[chosenRow]{}
	for i, in := range m.files {
		var own []sampling.Member[chosenRow]
		for _, c := range members {
			if c.Value.id > in.requestsAfter && (i+1 == len(m.files) || c.Value.id <= m.files[i+1].requestsAfter) {
				own = append(own, c)
			}
		}
		var spans, rows int64
		err := in.tx.QueryRowContext(ctx, readStratum, key.minuteS, key.category, key.outcome).Scan(&spans, &rows)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", in.path, err)
		}
		for _, c := range merged.Merge(newStratum(spans, rows, own), most) {
			m.sampledUntil = max(m.sampledUntil, c.StartUnixNano+1)
			if err := unchoose(ctx, m.exec, c.Value.id, c.Value.kept); err != nil {
				return err
			}
			if c.Value.kept == 0 {
				m.unchosen++
			}
		}
	}
	if merged.Chose() {
		for c := range merged.All {
			m.sampledUntil = max(m.sampledUntil, c.StartUnixNano+1)
		}
	}
	if merged.Rows() == 0 { // all that the files chose has left them
		const remove = "DELETE FROM request_stratum WHERE minute_s = ? AND category = ? AND outcome = ?"
		return m.exec(ctx, remove, key.minuteS, key.category, key.outcome)
	}
	const update = "UPDATE request_stratum SET spans = ?, rows = ? WHERE minute_s = ? AND category = ? AND outcome = ?"
	return m.exec(ctx, update, merged.Spans(), merged.Rows(), key.minuteS, key.category, key.outcome)
}
