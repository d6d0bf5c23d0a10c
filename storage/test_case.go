package storage

import "github.com/spanbucket/spanbucketexporter/aggregator"

const (
	insertTestCase = `INSERT INTO chaos_result (at_ns, span_id, trace_id, ordinal, run_id, service, suite, name, passed,
		expected, actual, error, duration_ns) VALUES (?1, ?2, ?3, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	// Of a span without ids, which is never a duplicate, ordinal counts on.
	insertTestCaseCopy = `INSERT INTO chaos_result (at_ns, span_id, trace_id, ordinal, run_id, service, suite, name, passed,
		expected, actual, error, duration_ns) VALUES (?1, ?2, ?3, (SELECT coalesce(max(ordinal) + 1, 0) FROM chaos_result
			WHERE at_ns = ?1 AND span_id = ?2 AND trace_id = ?3), ?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

// keepTestCase keeps the result of a test.
func (k *keeper) keepTestCase(r *aggregator.Request, series *aggregator.Resolution) {
	t := &r.TestCase
	var duration any
	if took, usable := r.Measure(aggregator.MeasureDuration); usable {
		duration = took
	}
	ids := spanIDs{span: r.SpanID, trace: r.TraceID}
	statement := insertTestCase
	if ids.missing() {
		statement = insertTestCaseCopy
	}
	k.write("chaos_result", statement, r.StartUnixNano, ids.span[:], ids.trace[:], series.Run, series.Service, k.cleanOrNil(t.Suite),
		k.clean(t.Name), t.Passed, k.cleanOrNil(t.Expected), k.cleanOrNil(t.Actual), k.cleanOrNil(series.ErrorType), duration)
}
