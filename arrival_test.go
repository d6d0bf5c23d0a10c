package spanbucketexporter

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// onceEach are the relations that say the same however often a span arrives.
// Buckets, and what is counted with them, do not yet: a span that is delivered
// twice counts twice there, until duplicates are found.
var onceEach = []string{
	"sessions", "turns", "tools", "tool_calls", "tool_call_spans", "circuits", "circuit_totals", "fault_windows",
	"fault_periods", "phases", "fault_impact", "evaluations", "chaos_results", "requests",
}

// TestArrivalDoesNotShow sends the golden spans and a generated world in
// different orders, batches and numbers of goroutines, with restarts and with
// batches delivered up to three times.
func TestArrivalDoesNotShow(t *testing.T) {
	r := seedtest.Rand(t)
	hosts := randomWorld(r, time.Date(2026, 1, 30, 12, 0, 0, 0, time.UTC))
	for _, host := range goldenHosts(t) {
		// Those without ids have a row for each delivery.
		if !host.span.SpanID().IsEmpty() {
			hosts = append(hosts, host)
		}
	}
	var inOrder []string
	for _, way := range []struct {
		name                         string
		goroutines, restarts, copies int
	}{
		{"one goroutine", 1, 0, 1},
		{"four goroutines", 4, 0, 1},
		{"restarts", 2, 4, 1},
		{"each batch up to three times", 4, 0, 3},
		{"all of it", 4, 3, 3},
	} {
		t.Run(way.name, func(t *testing.T) {
			path := newFile(t)
			config, err := configFromYAML(t, goldenConfig)
			require.NoError(t, err)
			config.Path = path
			shuffled := slices.Clone(hosts)
			r.Shuffle(len(shuffled), func(i, k int) { shuffled[i], shuffled[k] = shuffled[k], shuffled[i] })
			for part := range slices.Chunk(shuffled, len(shuffled)/(way.restarts+1)+1) {
				e := startExporter(t, config)
				sendInPieces(t, e, r, part, way.goroutines, way.copies)
				stopExporter(t, e)
			}
			got := content(t, path)
			if inOrder == nil {
				inOrder = got
				for _, relation := range onceEach {
					require.Greater(t, len(ofRelations(got, relation)), 10, relation)
				}
				return
			}
			want := inOrder
			if way.copies > 1 {
				want, got = ofRelations(want, onceEach...), ofRelations(got, onceEach...)
			}
			requireSameTexts(t, want, got, way.name)
		})
	}
}

// ofRelations picks the rows of some relations out of a content.
func ofRelations(lines []string, relations ...string) (picked []string) {
	for _, line := range lines {
		if name, _, _ := strings.Cut(line, " "); slices.Contains(relations, name) {
			picked = append(picked, line)
		}
	}
	return picked
}

// TestActivityNeedsNoRequests: sessions, tools, circuits, windows and
// judgements are the same where single requests, or most of them, are not kept.
func TestActivityNeedsNoRequests(t *testing.T) {
	r := seedtest.Rand(t)
	hosts := append(randomWorld(r, time.Date(2026, 1, 30, 12, 0, 0, 0, time.UTC)), goldenHosts(t)...)
	var of [3][]string
	var rows [3]int
	for i, requests := range []string{"{sampling_ratio: 1}", "{sampling_ratio: 0, max_for_cause: 0}", "{sampling_ratio: 0.2, max_for_cause: 2}"} {
		path := newFile(t)
		config, err := configFromYAML(t, "requests: "+requests)
		require.NoError(t, err)
		config.Path = path
		e := startExporter(t, config)
		sendInPieces(t, e, r, hosts, 2, 1)
		stopExporter(t, e)
		got := content(t, path)
		rows[i] = len(ofRelations(got, "requests"))
		of[i] = ofRelations(got, "sessions", "turns", "tools", "tool_calls", "tool_call_spans", "circuits", "circuit_totals",
			"fault_windows", "fault_periods", "phases", "evaluations", "chaos_results", "timeseries", "latency", "runs", "ledger")
	}
	require.Zero(t, rows[1])
	require.Positive(t, rows[2])
	require.Less(t, rows[2], rows[0]/2)
	requireSameTexts(t, of[0], of[1], "without requests")
	requireSameTexts(t, of[0], of[2], "with few requests")
}
