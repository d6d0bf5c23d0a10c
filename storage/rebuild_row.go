package storage

import (
	"crypto/sha256"
	"database/sql"
	"encoding/binary"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// refoldQuery reads what folding needs of the rows that are kept as requests.
const refoldQuery = `SELECT id, start_ns, duration_ns, trace_id, span_id, series_id, input_tokens, output_tokens,
	cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_nano_usd, ttft_ns, injected_delay_ns, marked,
	resend_count, coalesce(adjusted_micro, 1000000), CASE WHEN kept & 16 THEN (
		SELECT (st.spans * 1000000 + st.rows / 2) / st.rows
		FROM series AS s JOIN request_stratum AS st ON st.category = s.category AND st.outcome = s.outcome
		WHERE s.series_id = request.series_id AND st.minute_s = start_ns / 60000000000 * 60
	) ELSE coalesce(weight_micro, 1000000) END
	FROM request INDEXED BY request_start WHERE start_ns >= ? AND kept & 1 ORDER BY start_ns`

// refoldRow is a row of refoldQuery. It is reused.
type refoldRow struct {
	id, start, duration, series                     int64
	trace, span                                     sql.RawBytes
	input, output, cacheRead, cacheWrite, reasoning sql.NullInt64
	cost, ttft, injectedDelay, marked, resends      sql.NullInt64
	adjusted, weight                                int64 // millionths
	into                                            []any
}

func newRefoldRow() *refoldRow {
	r := &refoldRow{}
	r.into = []any{
		&r.id, &r.start, &r.duration, &r.trace, &r.span, &r.series, &r.input, &r.output, &r.cacheRead, &r.cacheWrite,
		&r.reasoning, &r.cost, &r.ttft, &r.injectedDelay, &r.marked, &r.resends, &r.adjusted, &r.weight,
	}
	return r
}

// observe makes the observation that the row was made of, as far as folding goes.
func (r *refoldRow) observe(series *aggregator.Series, o *aggregator.Observation) {
	o.Series, o.StartUnixNano, o.AdjustedMicro, o.Resends = *series, r.start, r.adjusted, r.resends.Int64
	copy(o.TraceID[:], r.trace)
	copy(o.SpanID[:], r.span)
	if r.duration >= 0 {
		o.EndUnixNano = r.start + r.duration
		o.SetMeasure(aggregator.MeasureDuration, r.duration)
	}
	marked := r.marked.Int64 == 1
	if !marked && series.Fault == aggregator.Overflow {
		// The series lost what its spans say of a fault; the row did not.
		o.Series.Fault = ""
	}
	if marked {
		o.DeriveNetDuration(r.injectedDelay.Int64)
	}
	if o.Usage = r.input.Valid || r.output.Valid; o.Usage {
		o.InputTokens, o.OutputTokens = r.input.Int64, r.output.Int64
		o.CacheReadTokens, o.CacheWriteTokens, o.ReasoningTokens = r.cacheRead.Int64, r.cacheWrite.Int64, r.reasoning.Int64
	}
	o.CostNanoUSD, o.Priced = r.cost.Int64, r.cost.Valid
	if r.ttft.Valid {
		o.SetMeasure(aggregator.MeasureTimeToFirstToken, r.ttft.Int64)
		o.DeriveTimePerOutputToken()
	}
}

// timesOf returns how often a span that stands for so many, in millionths, is
// folded: rounded up as often as the fraction says, by a hash of the span, so
// that the sum over many is right, and every width says the same.
func timesOf(weightMicro int64, o *aggregator.Observation) int64 {
	const one = 1_000_000
	times, rest := weightMicro/one, weightMicro%one
	if rest == 0 {
		return max(times, 1)
	}
	var id [32]byte
	copy(id[:], o.TraceID[:])
	copy(id[16:], o.SpanID[:])
	binary.BigEndian.PutUint64(id[24:], uint64(o.StartUnixNano))
	sum := sha256.Sum256(id[:])
	// Not the bits that sampling decides by.
	if int64(binary.BigEndian.Uint64(sum[8:16])%one) < rest {
		times++
	}
	return max(times, 1)
}
