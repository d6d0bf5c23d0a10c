//go:build !race

// One goroutine reads: the race detector has nothing to find, and makes SQLite in
// Go twenty times slower.

package storage

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

type circuitName struct{ run, service, instance, circuit string }

// wantedCircuits is what the sightings of a file amount to: the transitions,
// and the totals of each circuit.
func wantedCircuits(a *activity) (transitions, totals []row) {
	seen, refused := map[circuitName][]circuitSighting{}, map[circuitName]int{}
	for _, c := range a.circuits {
		name := circuitName{c.run, c.service, c.instance, c.circuit}
		if !slices.Contains(seen[name], c) {
			seen[name] = append(seen[name], c)
		}
	}
	for i := range a.spans {
		s := &a.spans[i]
		if s.kept&4 == 0 || s.circuit == "" || s.outcome != "circuit_open" {
			continue
		}
		name := circuitName{s.run, s.service, s.instance, s.circuit}
		refused[name]++
		seen[name] = append(seen[name], nil...)
	}
	order := map[string]int{"closed": 1, "open": 2, "half_open": 3, "": 4}
	for name, sightings := range seen {
		slices.SortFunc(sightings, func(a, b circuitSighting) int {
			return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(order[a.from], order[b.from]), cmp.Compare(a.state, b.state))
		})
		total := row{
			"run_id": name.run, "service": name.service, "circuit": name.circuit, "instance": name.instance, "trips": 0, "reopened": 0,
			"open_s": nil, "recovery_s": nil, "rejected": refused[name], "state": nil,
		}
		trips, reopened, open, closed, recoveries, recovery := 0, 0, 0.0, 0, 0, 0.0
		everOpen := false
		state := "closed"
		for i, s := range sightings {
			from := state
			if s.from != "" && s.from != s.state {
				from = s.from
			}
			changed := from != s.state
			if changed {
				transitions = append(transitions, row{
					"run_id": name.run, "circuit": name.circuit, "at_utc": utc(s.at), "at_ns": at(s.at),
					"from_state": from, "to_state": s.state, "service": name.service, "instance": name.instance,
				})
			}
			state = s.state
			if state != "open" {
				continue
			}
			everOpen = true
			if i+1 < len(sightings) {
				open += float64(sightings[i+1].at-s.at) / 1e9
				closed++
			}
			if changed && from == "half_open" {
				reopened++
			} else if changed {
				trips++
				if later := slices.IndexFunc(sightings[i:], func(c circuitSighting) bool { return c.state == "closed" }); later >= 0 {
					recoveries++
					recovery += float64(sightings[i+later].at-s.at) / 1e9
				}
			}
		}
		total["trips"], total["reopened"], total["recovery_s"] = trips, reopened, ratio(recovery, float64(recoveries))
		if len(sightings) > 0 {
			total["state"] = state
			if closed > 0 || !everOpen {
				total["open_s"] = open
			}
		}
		totals = append(totals, total)
	}
	return transitions, totals
}

func spanWeight(s *activitySpan) float64 {
	if s.weight == unstated {
		return 1
	}
	return float64(s.weight) / 1e6
}

func TestCircuits(t *testing.T) {
	eachActivity(t, func(t *testing.T, a *activity, path string) {
		transitions, totals := wantedCircuits(a)
		// A circuit may change to and fro in an instant: no key tells that apart.
		require.ElementsMatch(t, transitions, readView(t, path, "circuits"))
		requireView(t, path, "circuit_totals", []string{"run_id", "service", "instance", "circuit"}, totals)
	})
}

// TestReopenedCircuit: closed, open, half open, open again, half open, closed,
// seen twice each, is one trip of 50 s.
func TestReopenedCircuit(t *testing.T) {
	var a activity
	for i, state := range []string{"closed", "open", "half_open", "open", "half_open", "closed"} {
		for twice := range int64(2) {
			a.circuits = append(a.circuits, circuitSighting{"r", "app", "", "db", int64(i)*12*second + twice, state, ""})
		}
	}
	a.spans = []activitySpan{
		aSpan(func(s *activitySpan) { s.circuit, s.outcome, s.weight = "db", "circuit_open", 3e6 }),
		aSpan(func(s *activitySpan) { s.circuit, s.outcome, s.span = "db", "server_error", 1 }),
		aSpan(func(s *activitySpan) { s.circuit, s.outcome, s.kept, s.span = "db", "circuit_open", 4, 2 }),
		aSpan(func(s *activitySpan) { s.circuit, s.outcome, s.span = "other", "circuit_open", 3 }),
	}
	path := a.file(t, seedtest.Rand(t))
	var changes []string
	for _, r := range readView(t, path, "circuits ORDER BY at_ns") {
		changes = append(changes, fmt.Sprint(r["from_state"], ">", r["to_state"]))
	}
	require.Equal(t, []string{"closed>open", "open>half_open", "half_open>open", "open>half_open", "half_open>closed"}, changes)
	requireView(t, path, "circuit_totals", []string{"circuit"}, []row{
		{
			"run_id": "r", "service": "app", "circuit": "db", "instance": "", "trips": 1, "reopened": 1, "open_s": 24.0, "recovery_s": 48.0,
			"rejected": 2, "state": "closed",
		},
		{
			"run_id": "r", "service": "app", "circuit": "other", "instance": "", "trips": 0, "reopened": 0, "open_s": nil, "recovery_s": nil,
			"rejected": 1, "state": nil,
		},
	})
}

// TestOpenWhenLastSeen: for how long is not known.
func TestOpenWhenLastSeen(t *testing.T) {
	a := activity{circuits: []circuitSighting{{"r", "app", "", "db", 0, "open", "closed"}}}
	requireView(t, a.file(t, seedtest.Rand(t)), "circuit_totals", []string{"circuit"}, []row{{
		"run_id": "r", "service": "app", "circuit": "db", "instance": "", "trips": 1, "reopened": 0, "open_s": nil, "recovery_s": nil,
		"rejected": 0, "state": "open",
	}})
}

// TestCircuitsOfInstances: each has a breaker of its own, whose states do not
// get mixed up.
func TestCircuitsOfInstances(t *testing.T) {
	a := activity{circuits: []circuitSighting{
		{"r", "app", "a", "db", 10 * second, "open", ""}, {"r", "app", "b", "db", 11 * second, "closed", ""},
		{"r", "app", "a", "db", 12 * second, "open", ""}, {"r", "app", "b", "db", 13 * second, "closed", ""},
		{"r", "app", "a", "db", 20 * second, "closed", ""},
	}, spans: []activitySpan{aSpan(func(s *activitySpan) { s.circuit, s.instance, s.outcome, s.kept = "db", "a", "circuit_open", 4 })}}
	path := a.file(t, seedtest.Rand(t))
	require.Len(t, readView(t, path, "circuits"), 2)
	total := row{
		"run_id": "r", "service": "app", "circuit": "db", "instance": "a", "trips": 1, "reopened": 0, "open_s": 10.0, "recovery_s": 10.0,
		"rejected": 1, "state": "closed",
	}
	other := row{
		"run_id": "r", "service": "app", "circuit": "db", "instance": "b", "trips": 0, "reopened": 0, "open_s": 0.0, "recovery_s": nil,
		"rejected": 0, "state": "closed",
	}
	requireView(t, path, "circuit_totals", []string{"instance"}, []row{total, other})
}

func TestEvaluations(t *testing.T) {
	eachActivity(t, func(t *testing.T, a *activity, path string) {
		var want []row
		for _, j := range a.judged {
			span := any(nil)
			if j.span != 0 {
				span = fmt.Sprintf("%016x", j.span)
			}
			want = append(want, row{
				"run_id": j.run, "at_ns": at(j.at), "session_id": orNull(j.session), "name": "quality", "label": "label", "score": 0.5,
				"accepted": numberOrNull(j.accepted), "source": "human", "at_utc": utc(j.at), "service": j.service, "trace_id": nil, "span_id": span,
			})
		}
		requireView(t, path, "evaluations", []string{"at_ns", "span_id"}, want)
	})
}
