package storage

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// keepDetails keeps what a span tells besides itself. Each row is keyed by what
// it says, so that a second delivery changes nothing.
func (k *keeper) keepDetails(r *aggregator.Request, series *aggregator.Resolution) {
	k.circuits = atMost(k, k.circuits, r.Circuits, compareCircuits)
	for i := range k.circuits {
		k.keepCircuit(r, &k.circuits[i], series)
	}
	k.judged = atMost(k, k.judged, r.Evaluations, compareEvaluations)
	ordinal := int64(0)
	for i := range k.judged {
		// Numbered among those of the instant, so that one that comes late
		// changes as few as can be.
		if ordinal++; i == 0 || k.judged[i].AtUnixNano != k.judged[i-1].AtUnixNano {
			ordinal = 0
		}
		k.keepEvaluation(r, &k.judged[i], ordinal, series)
	}
	if r.Window != nil {
		k.keepWindow(r, series)
	}
	if r.TestCase.Name != "" {
		k.keepTestCase(r, series)
	}
	// Where runs are thrown together nothing describes them all.
	if r.RunFacts != (aggregator.RunFacts{}) && series.Run != "" && series.Run != aggregator.Overflow {
		k.keepFacts(&r.RunFacts, series.Run)
	}
}

// maxEventsPerSpan bounds the circuit states, and the evaluations, that are
// stored of one span.
const maxEventsPerSpan = 256

// atMost returns the first events of a span in the order of what they say,
// whatever order they came in. It uses the memory of into.
func atMost[T any](k *keeper, into, events []T, compare func(a, b T) int) []T {
	into = append(into[:0], events...)
	if len(into) > 1 {
		slices.SortFunc(into, compare)
	}
	if len(into) > maxEventsPerSpan {
		k.notes |= aggregator.NoteTooManyEvents
		into = slices.Clone(into[:maxEventsPerSpan])
	}
	return into
}

func compareCircuits(a, b aggregator.CircuitState) int {
	return cmp.Or(cmp.Compare(a.AtUnixNano, b.AtUnixNano), cmp.Compare(a.Circuit, b.Circuit), cmp.Compare(a.State, b.State),
		cmp.Compare(a.From, b.From))
}

func compareEvaluations(a, b aggregator.Evaluation) int {
	number := func(e aggregator.Evaluation) float64 {
		if !e.Scored {
			return math.Inf(-1)
		}
		return e.Score
	}
	return cmp.Or(cmp.Compare(a.AtUnixNano, b.AtUnixNano), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Label, b.Label),
		cmp.Compare(number(a), number(b)), cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Source, b.Source))
}

// write runs a statement, unless something failed before.
func (k *keeper) write(what, statement string, args ...any) {
	if k.err != nil {
		return
	}
	if err := k.exec(k.ctx, statement, args...); err != nil {
		k.err = fmt.Errorf("write %s: %w", what, err)
	}
}

// isCircuitState tells whether the file admits the state: what it does not
// would cost all others their commit.
func isCircuitState(state string) bool {
	return state == aggregator.CircuitClosed || state == aggregator.CircuitOpen || state == aggregator.CircuitHalfOpen
}

func (k *keeper) keepCircuit(r *aggregator.Request, c *aggregator.CircuitState, series *aggregator.Resolution) {
	if !isCircuitState(c.State) {
		return
	}
	from := ""
	if isCircuitState(c.From) {
		from = c.From
	}
	k.write("circuit_state", `INSERT INTO circuit_state (run_id, service, instance, circuit, at_ns, state, from_state)
		VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		series.Run, series.Service, k.clean(r.Instance), k.clean(c.Circuit), c.AtUnixNano, c.State, from)
}

const (
	insertEvaluation = `INSERT INTO evaluation (at_ns, span_id, trace_id, ordinal, run_id, service, session_id, name,
		label, score, accepted, source) VALUES (?1, ?2, ?3, ?4, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	// Of a span without ids, which is never a duplicate, ordinal counts on.
	insertEvaluationCopy = `INSERT INTO evaluation (at_ns, span_id, trace_id, ordinal, run_id, service, session_id, name,
		label, score, accepted, source) VALUES (?1, ?2, ?3, (SELECT coalesce(max(ordinal) + 1, ?4) FROM evaluation
			WHERE at_ns = ?1 AND span_id = ?2 AND trace_id = ?3), ?, ?, ?, ?, ?, ?, ?, ?)`
)

func (k *keeper) keepEvaluation(r *aggregator.Request, e *aggregator.Evaluation, ordinal int64, series *aggregator.Resolution) {
	var score, accepted any
	if e.Scored {
		score = e.Score
	}
	if e.Verdict != aggregator.VerdictNone {
		accepted = e.Verdict == aggregator.VerdictAccepted
	}
	var session any
	if !k.options.DropSessions {
		session = k.cleanOrNil(r.Session)
	}
	ids := spanIDs{span: r.SpanID, trace: r.TraceID}
	statement := insertEvaluation
	if ids.missing() {
		statement = insertEvaluationCopy
	}
	k.write("evaluation", statement, e.AtUnixNano, ids.span[:], ids.trace[:], ordinal, series.Run, series.Service,
		session, k.clean(e.Name), k.cleanOrNil(e.Label), score, accepted, k.cleanOrNil(e.Source))
}

// keepWindow keeps the window that a span of an injector describes. It belongs
// to the run of the span, or to any.
func (k *keeper) keepWindow(r *aggregator.Request, series *aggregator.Resolution) {
	window := *r.Window
	if window.EndUnixNano < window.StartUnixNano {
		return
	}
	if window.Run != "" {
		window.Run = series.Run
	}
	args, notes := windowArgs(sourceInjector, &window)
	k.notes |= notes
	k.write("fault_window", insertWindow, args...)
}

// factsOfRun is what spans say of a run.
type factsOfRun struct {
	run string
	aggregator.RunFacts
}

const (
	// maxFactsBytes bounds each JSON text about a run; longer ones are ignored.
	maxFactsBytes = 64 << 10
	// maxKnownFacts bounds what the writer remembers to have stored.
	maxKnownFacts = 64
)

// keepFacts notes what a span says of its run. All spans of a process say the
// same, so it is compared with the span before, then with what is stored.
func (k *keeper) keepFacts(raw *aggregator.RunFacts, run string) {
	if said := (factsOfRun{run, *raw}); said != k.facts {
		k.facts = said
	} else {
		return
	}
	f := factsOfRun{strings.Clone(run), aggregator.RunFacts{
		Name: k.clean(raw.Name), Mode: k.clean(raw.Mode), Profile: k.clean(raw.Profile), Preset: k.clean(raw.Preset),
	}}
	for _, text := range []struct{ from, into *string }{
		{&raw.ConfigJSON, &f.ConfigJSON}, {&raw.AttributesJSON, &f.AttributesJSON},
	} {
		if len(*text.from) <= maxFactsBytes && utf8.ValidString(*text.from) {
			*text.into = *text.from
		}
	}
	if !k.knownFacts[f] {
		k.pending.facts = append(k.pending.facts, f)
	}
}

// The lowest value wins, whatever the order. What is no JSON object is ignored.
const updateFacts = `UPDATE run SET
	name = coalesce(min(name, ?2), name, ?2),
	mode = coalesce(min(mode, ?3), mode, ?3),
	profile = coalesce(min(profile, ?4), profile, ?4),
	preset = coalesce(min(preset, ?5), preset, ?5),
	config_json = coalesce(min(config_json, said.c), config_json, said.c),
	attributes = coalesce(min(attributes, said.a), attributes, said.a)
FROM (SELECT
	CASE WHEN json_valid(?6) THEN CASE WHEN json_type(?6) = 'object' THEN ?6 END END AS c,
	CASE WHEN json_valid(?7) THEN CASE WHEN json_type(?7) = 'object' THEN ?7 END END AS a
) AS said WHERE run_id = ?1`

// flushFacts follows flushRuns, which makes the rows.
func (w *writer) flushFacts(ctx context.Context) error {
	for i := range w.pending.facts {
		f := &w.pending.facts[i]
		if w.knownFacts[*f] {
			continue
		}
		args := []any{f.run}
		for _, text := range []string{f.Name, f.Mode, f.Profile, f.Preset, f.ConfigJSON, f.AttributesJSON} {
			if text == "" {
				args = append(args, nil)
				continue
			}
			args = append(args, text)
		}
		if err := w.exec(ctx, updateFacts, args...); err != nil {
			return fmt.Errorf("write run: %w", err)
		}
		if len(w.knownFacts) >= maxKnownFacts {
			clear(w.knownFacts)
		}
		w.knownFacts[f.clone()] = true
	}
	return nil
}

// clone returns facts that do not hold on to the batch they came with.
func (f *factsOfRun) clone() factsOfRun {
	c := *f
	for _, text := range []*string{&c.Name, &c.Mode, &c.Profile, &c.Preset, &c.ConfigJSON, &c.AttributesJSON} {
		*text = strings.Clone(*text)
	}
	return c
}
