package spanbucketexporter

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/folding"
	"github.com/spanbucket/spanbucketexporter/internal/metadata"
	"github.com/spanbucket/spanbucketexporter/spans"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// poisonDuration marks spans that cannot be stored; see panickingReader and
// refusePoison.
const poisonDuration = 77

// panickingReader cannot read spans of poisonDuration.
type panickingReader struct{ folding.SpanReader }

func (p panickingReader) Observations(batch ptrace.Traces, now time.Time) iter.Seq[*aggregator.Observation] {
	return func(yield func(*aggregator.Observation) bool) {
		for o := range p.SpanReader.Observations(batch, now) {
			if d, _ := o.Measure(aggregator.MeasureDuration); d == poisonDuration {
				panic("cannot read this span")
			}
			if !yield(o) {
				return
			}
		}
	}
}

// Triggers that refuse rows of spans of poisonDuration: as a value that breaks
// a rule, and for a reason that nobody has classified.
const (
	refusePoison = `CREATE TRIGGER refuse BEFORE INSERT ON request WHEN new.duration_ns = 77
		BEGIN SELECT RAISE(ABORT, 'refused'); END`
	failOnPoison = `CREATE TRIGGER refuse BEFORE INSERT ON request WHEN new.duration_ns = 77
		BEGIN SELECT json_extract('{', '$'); END`
)

// openPlain opens a file as any SQLite program does, with one connection.
func openPlain(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// execute runs a statement on a connection of its own.
func execute(t *testing.T, path, statement string) {
	t.Helper()
	_, err := openPlain(t, path).ExecContext(t.Context(), statement)
	require.NoError(t, err)
}

// numbered makes spans whose ids are their number; those in poison cannot be
// stored.
func numbered(from, to int, poison ...int) ptrace.Traces {
	batch := ptrace.NewTraces()
	resource := batch.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "shop")
	list := resource.ScopeSpans().AppendEmpty().Spans()
	start := time.Date(2026, 1, 30, 10, 0, 0, 0, time.UTC).UnixNano()
	for n := from; n < to; n++ {
		span := list.AppendEmpty()
		span.SetTraceID(pcommon.TraceID{1, byte(n >> 8), byte(n)})
		span.SetSpanID(pcommon.SpanID{2, byte(n >> 8), byte(n)})
		span.SetName("chat")
		span.Attributes().PutStr("gen_ai.operation.name", "chat")
		span.Attributes().PutStr("gen_ai.request.model", "gpt-4o")
		span.Attributes().PutStr("gen_ai.prompt", "a secret of the user")
		span.SetStartTimestamp(pcommon.Timestamp(start + int64(n)*1e6))
		duration := int64(time.Second)
		for _, p := range poison {
			if p == n {
				duration = poisonDuration
			}
		}
		span.SetEndTimestamp(span.StartTimestamp() + pcommon.Timestamp(duration))
	}
	return batch
}

func startTraces(t *testing.T, config *Config, change func(*tracesExporter)) *tracesExporter {
	t.Helper()
	e := newTracesExporter(config, exportertest.NewNopSettings(metadata.Type))
	if change != nil {
		change(e)
	}
	require.NoError(t, e.start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { _ = e.shutdown(context.Background()) })
	return e
}

func ledger(t *testing.T, path string) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	for _, r := range query(t, openReader(t, path), "SELECT reason, spans FROM ledger WHERE spans > 0") {
		all[r["reason"].(string)] = r["spans"].(int64)
	}
	return all
}

func panicking(e *tracesExporter) {
	e.read = func(o spans.Options) folding.SpanReader { return panickingReader{spans.NewReader(o)} }
}

// TestPoisonIsIsolated: the spans that cannot be stored become dead letters,
// all others numbers, and a second delivery changes neither.
func TestPoisonIsIsolated(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(*tracesExporter)
		trigger string
	}{
		"folding panics":     {change: panicking},
		"a value is refused": {trigger: refusePoison},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "spanbucket.db")
			e := startTraces(t, testConfig(path), test.change)
			if test.trigger != "" {
				execute(t, path, test.trigger)
			}
			batch := numbered(0, 100, 0, 41, 99)
			require.NoError(t, e.consume(t.Context(), batch))
			require.Equal(t, map[string]int64{"received": 100, "folded": 97, "dead_letter": 3}, ledger(t, path))
			require.NoError(t, e.consume(t.Context(), numbered(40, 110, 41, 99)))
			require.Equal(t, map[string]int64{"received": 170, "folded": 107, "dead_letter": 3, "duplicate": 60}, ledger(t, path))
			require.NoError(t, e.shutdown(t.Context()))

			letters := query(t, openReader(t, path), "SELECT * FROM dead_letters ORDER BY id")
			require.Len(t, letters, 3)
			for i, n := range []byte{0, 41, 99} {
				require.Equal(t, "poison", letters[i]["reason"])
				require.Regexp(t, "cannot read this span|refused", letters[i]["error"])
				held, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(letters[i]["payload"].([]byte))
				require.NoError(t, err)
				require.Equal(t, 1, held.SpanCount())
				span := held.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
				require.Equal(t, pcommon.SpanID{2, 0, n}, span.SpanID())
				model, ok := span.Attributes().Get("gen_ai.request.model")
				require.True(t, ok)
				require.Equal(t, "gpt-4o", model.Str())
				require.NotContains(t, string(letters[i]["payload"].([]byte)), "secret")
			}
		})
	}
}

// TestEverythingIsPoison: a cause that is not that of single spans fills the
// file with no letter for each.
func TestEverythingIsPoison(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	e := startTraces(t, testConfig(path), nil)
	execute(t, path, `CREATE TRIGGER refuse BEFORE INSERT ON request BEGIN SELECT RAISE(ABORT, 'refused'); END`)
	require.NoError(t, e.consume(t.Context(), numbered(0, 1000)))
	require.Equal(t, map[string]int64{"received": 1000, "dead_letter": 1000}, ledger(t, path))
	letters := query(t, openReader(t, path), "SELECT count(*) AS n, sum(spans) AS spans FROM dead_letters")
	require.Equal(t, int64(1000), letters[0]["spans"])
	require.LessOrEqual(t, letters[0]["n"], int64(folding.MaxLettersPerBatch+12))
}

// interruptingStore ends a context after some checks.
type interruptingStore struct {
	store
	checks int
	cancel func()
}

func (s *interruptingStore) Check(ctx context.Context, b storage.Batch) error {
	if s.checks--; s.checks == 0 {
		s.cancel()
	}
	return s.store.Check(ctx, b)
}

// TestIsolationLeavesNoTrace until it has found every span that cannot be
// stored: a client that gave up in between sends spans again that no
// deduplication can know.
func TestIsolationLeavesNoTrace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	interrupting := &interruptingStore{}
	e := startTraces(t, testConfig(path), func(e *tracesExporter) {
		open := e.open
		e.open = func(ctx context.Context, o storage.Options) (store, error) {
			s, err := open(ctx, o)
			interrupting.store = s
			return interrupting, err
		}
	})
	execute(t, path, refusePoison)
	batch := numbered(0, 64, 5, 44)
	for _, span := range batch.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		span.SetTraceID(pcommon.TraceID{})
	}
	for checks := 1; checks < 20; checks += 3 {
		ctx, cancel := context.WithCancel(t.Context())
		interrupting.checks, interrupting.cancel = checks, cancel
		require.ErrorIs(t, e.consume(ctx, batch), context.Canceled)
		require.Empty(t, ledger(t, path))
	}
	interrupting.checks = 0
	require.NoError(t, e.consume(t.Context(), batch))
	require.Equal(t, map[string]int64{"received": 64, "folded": 62, "dead_letter": 2}, ledger(t, path))
}

// TestLettersAreTriedAgainUnderTraffic: whoever asks need not wait for a pause.
func TestLettersAreTriedAgainUnderTraffic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	e := startTraces(t, testConfig(path), nil)
	execute(t, path, refusePoison)
	require.NoError(t, e.consume(t.Context(), numbered(0, 2, 1)))
	execute(t, path, "DROP TRIGGER refuse; UPDATE dead_letter SET due = 1")
	for n := 2; ledger(t, path)["dead_letter"] > 0; n++ {
		require.Less(t, n, 2000)
		require.NoError(t, e.consume(t.Context(), numbered(n, n+1)))
		time.Sleep(10 * time.Millisecond) // traffic has a pace
	}
}

// TestUnknownFailure: the batch is refused until it has been tried often
// enough, also when the collector starts anew in between.
func TestUnknownFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	for attempt := 1; attempt <= 4; attempt++ {
		e := startTraces(t, testConfig(path), nil)
		if attempt == 1 {
			execute(t, path, failOnPoison)
		}
		err := e.consume(t.Context(), numbered(0, 10, 5))
		require.NoError(t, e.consume(t.Context(), numbered(10*attempt, 10*attempt+10)), "others are stored")
		switch attempt {
		case 1, 2:
			require.ErrorContains(t, err, fmt.Sprintf("attempt %d of 3: ", attempt))
			require.Equal(t, storage.FailureUnknown, storage.FailureOf(err))
			require.Equal(t, map[string]int64{"received": int64(10 * attempt), "folded": int64(10 * attempt)}, ledger(t, path))
		case 3:
			require.NoError(t, err)
			require.Equal(t, map[string]int64{"received": 40, "folded": 30, "dead_letter": 10}, ledger(t, path))
		case 4:
			require.NoError(t, err)
			require.Equal(t, map[string]int64{"received": 60, "folded": 40, "dead_letter": 10, "duplicate": 10}, ledger(t, path))
		}
		require.NoError(t, e.shutdown(t.Context()))
	}
	letters := query(t, openReader(t, path), "SELECT attempts, reason, spans FROM dead_letters")
	require.Equal(t, []row{{"attempts": int64(3), "reason": "unknown", "spans": int64(10)}}, letters)
}

// TestLettersAreTriedAgain when somebody asks for it, without any traffic: by
// an exporter that runs, and by one that starts.
func TestLettersAreTriedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	e := startTraces(t, testConfig(path), nil)
	execute(t, path, refusePoison)
	require.NoError(t, e.consume(t.Context(), numbered(0, 20, 3, 4)))
	became := func(want map[string]int64) {
		require.Eventually(t, func() bool {
			got := ledger(t, path)
			return got["folded"] == want["folded"] && got["dead_letter"] == want["dead_letter"]
		}, 30*time.Second, 20*time.Millisecond)
		require.Equal(t, want, ledger(t, path))
	}
	execute(t, path, "UPDATE dead_letter SET due = 1 WHERE id = 1")
	require.Eventually(t, func() bool {
		return len(query(t, openReader(t, path), "SELECT 1 FROM dead_letters WHERE attempts = 2 AND due = 0 AND error LIKE '%refused%'")) == 1
	}, 30*time.Second, 20*time.Millisecond, "still refused")
	execute(t, path, "DROP TRIGGER refuse")
	execute(t, path, "UPDATE dead_letter SET due = 1 WHERE id = 1")
	became(map[string]int64{"received": 20, "folded": 19, "dead_letter": 1})
	require.NoError(t, e.shutdown(t.Context()))

	execute(t, path, "UPDATE dead_letter SET due = 1")
	startTraces(t, testConfig(path), nil)
	became(map[string]int64{"received": 20, "folded": 20})
	require.Empty(t, query(t, openReader(t, path), "SELECT * FROM dead_letters"))
	models := query(t, openReader(t, path), "SELECT model, count(*) AS n FROM requests GROUP BY 1")
	require.Equal(t, []row{{"model": "gpt-4o", "n": int64(20)}}, models)
}

// sendRefused leaves two dead letters and failed attempts at two batches in a
// file.
func sendRefused(t *testing.T, e exporter.Traces, path string) {
	t.Helper()
	execute(t, path, refusePoison)
	require.NoError(t, e.ConsumeTraces(t.Context(), numbered(0, 10, 3)))
	execute(t, path, "DROP TRIGGER refuse")
	execute(t, path, failOnPoison)
	for from, attempts := range map[int]int{100: 3, 200: 1, 300: 2} {
		for attempt := range attempts {
			err := e.ConsumeTraces(t.Context(), numbered(from, from+10, from))
			require.Equal(t, attempt < 2, err != nil, "%d: %v", from, err)
		}
	}
	execute(t, path, "DROP TRIGGER refuse")
}

// TestPoisonBesideTheUnknown: a batch with a span that is refused, and one that fails for an unknown
// reason, is given up after max_attempts as well.
func TestPoisonBesideTheUnknown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	config := testConfig(path)
	config.DeadLetters.MaxAttempts = 3
	e := startTraces(t, config, panicking)
	// Span 2 panics, span 70 fails in the file.
	execute(t, path, `CREATE TRIGGER refuse BEFORE INSERT ON request WHEN new.span_id = x'0200460000000000'
		BEGIN SELECT json_extract('{', '$'); END`)
	batch := numbered(0, 100, 2)
	var err error
	for range 12 {
		if err = e.consume(t.Context(), batch); err == nil {
			break
		}
	}
	require.NoError(t, err, "after 12 attempts of 3")
	require.Equal(t, map[string]int64{"received": 100, "dead_letter": 100}, ledger(t, path))
}

// TestADamagedRowBuriesNothing: what the damage of one row of the file does to good batches.
func TestADamagedRowBuriesNothing(t *testing.T) {
	for name, damage := range map[string]string{
		"poison":  "DELETE FROM headline_histogram",
		"unknown": "UPDATE headline_histogram SET duration = replace(duration, ':', ';')",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "spanbucket.db")
			config := testConfig(path)
			config.DeadLetters.MaxRows = 5
			e := startTraces(t, config, nil)
			require.NoError(t, e.consume(t.Context(), numbered(0, 10)))
			execute(t, path, damage)
			for n := 10; n < 200; n += 10 { // healthy spans of the same second
				for range 3 {
					if e.consume(t.Context(), numbered(n, n+10)) == nil {
						break
					}
				}
			}
			require.Zero(t, ledger(t, path)["dead_letter"], "acknowledged, and not in the numbers")
		})
	}
}
