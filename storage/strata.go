package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
)

// chosenRow is what the writer knows of a row that its stratum chose.
type chosenRow struct {
	id   int64 // of the row in the file; 0: span has yet to be written
	kept int   // the bits that the row keeps where it is no longer chosen
	span *chosenSpan
}

// chosenSpan is a span that will be written once it is known what the stratum
// chooses of all that the transaction brings.
type chosenSpan struct {
	request aggregator.Request
	series  *aggregator.Resolution
}

// liveStratum is a stratum as it is in the file, plus what the present
// transaction added.
type liveStratum struct {
	*sampling.Stratum[chosenRow]
	key      sampling.StratumKey
	changed  bool
	evicted  []sampling.Member[chosenRow] // rows of the file that are chosen no longer
	lastUsed int64                        // version of the commit
}

// strata is the writer's memory of strata. The file is the truth: it can be
// dropped at any time outside a transaction.
type strata struct {
	all     map[sampling.StratumKey]*liveStratum
	changed []*liveStratum
}

func newStrata() *strata { return &strata{all: map[sampling.StratumKey]*liveStratum{}} }

const (
	// maxChosenRows bounds how many chosen rows are remembered, at about 100
	// bytes each, where a stratum may not have a quarter as many.
	maxChosenRows = 1 << 16
	maxStrata     = 1 << 12
)

// shrink drops the strata that were used longest ago, once there are too many.
func (s *strata) shrink(maxForCause int) {
	most, rows := max(maxChosenRows, 4*maxForCause), 0
	for _, l := range s.all {
		rows += l.Rows()
	}
	if rows <= most && len(s.all) <= maxStrata {
		return
	}
	byAge := make([]*liveStratum, 0, len(s.all))
	for _, l := range s.all {
		byAge = append(byAge, l)
	}
	slices.SortFunc(byAge, func(a, b *liveStratum) int { return cmp.Compare(a.lastUsed, b.lastUsed) })
	for _, l := range byAge {
		if rows <= most*3/4 && len(s.all) <= maxStrata*3/4 {
			return
		}
		rows -= l.Rows()
		delete(s.all, l.key)
	}
}

// stratum returns a stratum that is about to change, from memory or the file.
func (w *writer) stratum(ctx context.Context, key sampling.StratumKey) (*liveStratum, error) {
	l, ok := w.strata.all[key]
	if !ok {
		s, err := w.loadStratum(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("read request_stratum: %w", err)
		}
		l = &liveStratum{Stratum: s, key: key}
		w.strata.all[key] = l
	}
	if !l.changed {
		l.changed, l.lastUsed = true, w.version
		w.strata.changed = append(w.strata.changed, l)
	}
	return l, nil
}

// loadStratum reads a stratum from the file. Where rows of it have left, the
// others stand for as many spans each as before.
func (w *writer) loadStratum(ctx context.Context, key sampling.StratumKey) (*sampling.Stratum[chosenRow], error) {
	var spans, rows int64
	err := w.scanInto(ctx, []any{&spans, &rows}, readStratum, key.MinuteS, key.Category.String(), key.Outcome.String())
	if errors.Is(err, sql.ErrNoRows) {
		return &sampling.Stratum[chosenRow]{}, nil
	}
	if err != nil {
		return nil, err
	}
	members, err := readChosen(ctx, w.conn, key.MinuteS, key.Category.String(), key.Outcome.String())
	return newStratum(spans, rows, members), err
}

const readStratum = "SELECT spans, rows FROM request_stratum WHERE minute_s = ? AND category = ? AND outcome = ?"

// newStratum returns the stratum of a row of request_stratum with the rows that
// are left of it.
func newStratum(spans, rows int64, members []sampling.Member[chosenRow]) *sampling.Stratum[chosenRow] {
	if left := int64(len(members)); left != rows {
		spans = (spans*left + rows/2) / max(rows, 1)
	}
	return sampling.NewStratum(spans, members)
}

// readChosen reads the rows that a stratum chose.
func readChosen(ctx context.Context, q Querier, minuteS int64, category, outcome string) (members []sampling.Member[chosenRow], err error) {
	const chosen = `SELECT r.id, r.kept, r.start_ns, r.duration_ns, r.trace_id, r.span_id, r.series_id,
			coalesce(r.input_tokens, -1), coalesce(r.output_tokens, -1), coalesce(r.cost_nano_usd, -1), coalesce(r.ttft_ns, -1)
		FROM request AS r JOIN series AS s ON s.series_id = r.series_id
		WHERE r.start_ns >= ?1 * 1000000000 AND r.start_ns < (?1 + 60) * 1000000000 AND r.kept & 16
			AND s.category = ?2 AND s.outcome = ?3`
	err = eachRow(ctx, q, chosen, func(rows *sql.Rows) error {
		m, err := scanChosen(rows)
		members = append(members, m)
		return err
	}, minuteS, category, outcome)
	return members, err
}

func scanChosen(rows *sql.Rows) (m sampling.Member[chosenRow], err error) {
	var o aggregator.Observation
	var trace, span sql.RawBytes
	var numbers [4]int64
	if err := rows.Scan(&m.Value.id, &m.Value.kept, &o.StartUnixNano, &m.DurationNano, &trace, &span, &m.Series,
		&numbers[0], &numbers[1], &numbers[2], &numbers[3]); err != nil {
		return m, err
	}
	m.Value.kept &= keptForSessions | keptForFaults
	copy(o.TraceID[:], trace)
	copy(o.SpanID[:], span)
	if m.StartUnixNano = o.StartUnixNano; m.DurationNano >= 0 {
		o.EndUnixNano = o.StartUnixNano + m.DurationNano
	}
	m.Hash, m.Rest = sampling.SpanHash(&o), hashNumbers(&numbers)
	return m, nil
}

// chosenKey returns the place of a span among the candidates of its stratum.
func chosenKey(r *aggregator.Request, series aggregator.SeriesID) sampling.Key {
	numbers := [4]int64{-1, -1, -1, -1}
	key := sampling.Key{
		Hash: sampling.SpanHash(&r.Observation), StartUnixNano: r.StartUnixNano, DurationNano: -1, Series: int64(series),
	}
	if d, usable := r.Measure(aggregator.MeasureDuration); usable {
		key.DurationNano = d
	}
	if r.Usage && r.Known&aggregator.FactInputTokens != 0 {
		numbers[0] = r.InputTokens
	}
	if r.Usage && r.Known&aggregator.FactOutputTokens != 0 {
		numbers[1] = r.OutputTokens
	}
	if r.Priced {
		numbers[2] = r.CostNanoUSD
	}
	if ttft, timed := r.Measure(aggregator.MeasureTimeToFirstToken); timed {
		numbers[3] = ttft
	}
	key.Rest = hashNumbers(&numbers)
	return key
}

// hashNumbers tells spans apart that have the same ids, times and series.
func hashNumbers(numbers *[4]int64) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, numbers[:])
	return h.Sum64()
}

// unchoose takes back that a row of the file is kept as a request. It leaves
// what it is kept for besides; a row that is kept for nothing goes.
func unchoose(ctx context.Context, exec func(context.Context, string, ...any) error, id int64, kept int) error {
	if kept == 0 {
		return exec(ctx, "DELETE FROM request WHERE id = ?", id)
	}
	return demote(ctx, exec, []int64{id}, kept)
}

// refitStrata has the strata of a file say what is left of them, where rows were
// deleted: each that remains stands for as many spans as before.
func refitStrata(ctx context.Context, conn *sql.Conn) error {
	const left = `WITH chosen AS MATERIALIZED (
			SELECT r.start_ns / 60000000000 * 60 AS minute_s, s.category, s.outcome, count(*) AS rows
			FROM request AS r JOIN series AS s ON s.series_id = r.series_id WHERE r.kept & 16 GROUP BY 1, 2, 3
		)
		`
	for _, statement := range []string{
		left + `UPDATE request_stratum AS st SET spans = (st.spans * c.rows + st.rows / 2) / st.rows, rows = c.rows FROM chosen AS c
			WHERE c.minute_s = st.minute_s AND c.category = st.category AND c.outcome = st.outcome AND c.rows <> st.rows`,
		left + "DELETE FROM request_stratum WHERE (minute_s, category, outcome) NOT IN (SELECT minute_s, category, outcome FROM chosen)",
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("write request_stratum: %w", err)
		}
	}
	return nil
}
