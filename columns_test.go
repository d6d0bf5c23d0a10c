package spanbucketexporter

import (
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/exporter"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// sameColumns may have the same value in every row, each for its reason.
var sameColumns = map[string]string{
	"requests.weight":        "at the ratio 1 each stands for itself",
	"timeseries.settled":     "all golden spans are old",
	"latency.settled":        "all golden spans are old",
	"slo.configured":         "all of the configuration are",
	"slos.configured":        "all of the configuration are",
	"slos.settled":           "all golden spans are old",
	"request.marked":         "1 or NULL, for an index",
	"request.adjusted_micro": "one golden span is a sample",
}

// clockColumns depend on how long the test takes.
var clockColumns = map[string]bool{
	"fingerprint.first_arrival_s": true, "fingerprint.last_arrival_s": true,
	"slo.since_s": true, "dead_letters.first_utc": true, "dead_letters.last_utc": true,
}

// silentColumns may be NULL, zero or empty in every row.
var silentColumns = map[string]string{
	"request.weight_micro":     "at the ratio 1 each stands for itself",
	"slo.complete_from":        "nothing came before they were configured",
	"request_stratum.minute_s": "at the ratio 1 nothing is chosen", "request_stratum.category": "at the ratio 1 nothing is chosen",
	"request_stratum.outcome": "at the ratio 1 nothing is chosen", "request_stratum.spans": "at the ratio 1 nothing is chosen",
	"request_stratum.rows": "at the ratio 1 nothing is chosen",
	"pruned.relation":      "nothing has left", "pruned.width_s": "nothing has left",
	"pruned.complete_from": "nothing has left", "pruned.rows": "nothing has left",
	"chaos_result.ordinal":  "all golden tests have ids",
	"merged_file.writer_id": "no files were joined", "merged_file.version": "no files were joined",
}

// TestNoColumnIsConstant puts all golden spans into one file: every column of
// every relation must say something in some row, and not the same in all that
// do, or nothing fills it.
func TestNoColumnIsConstant(t *testing.T) {
	path := newFile(t)
	config, err := configFromYAML(t, goldenConfig)
	require.NoError(t, err)
	config.Path = path
	e := startExporter(t, config)
	sendGoldens(t, e)
	sendRefused(t, e, path)
	stopExporter(t, e)
	execute(t, path, "UPDATE dead_letter SET due = 1 WHERE id = 2")
	reader := openReader(t, path)
	relations, err := storage.Relations(t.Context(), reader)
	require.NoError(t, err)
	require.Greater(t, len(relations), 20)
	same, silent := maps.Clone(sameColumns), maps.Clone(silentColumns)
	for _, relation := range relations {
		for _, c := range relation.Columns {
			name := relation.Name + "." + c.Name
			counts := query(t, reader, fmt.Sprintf(`SELECT count(*) AS "all", total(%s) AS saying, count(DISTINCT %q) AS different FROM %s`,
				saysSomething(c.Name), c.Name, relation.Name))[0]
			switch {
			case counts["saying"].(float64) == 0:
				assert.Contains(t, silent, name, "every row has NULL, zero or nothing there")
				delete(silent, name)
			case clockColumns[name]:
			case counts["different"].(int64) == 1 && counts["all"].(int64) > 1:
				assert.Contains(t, same, name, "every row that says something says the same")
				delete(same, name)
			}
		}
	}
	assert.Empty(t, same, "these differ now: take them off sameColumns")
	assert.Empty(t, silent, "these say something now: take them off silentColumns")
}

// goldenConfig is a configuration without an idle part.
const goldenConfig = `
dimensions: [{name: service.version, default: unknown}]
prices: [{model: "*", input: 2.50, output: 10, cache_read: 1.25, cache_write: 3}]
run: {id: nightly, name: every night, pinned: true}
dedup: {secret: of the fleet and long}
slos:
  - {name: chat, category: llm, latency: 2s, objective: 0.99}
  - {name: tool calls, category: tool, objective: 0.9}
  - {name: one model, category: llm, service: litellm, operation: chat, model: gpt-4o, latency: 500ms, objective: 0.999}
  - {name: embeddings, category: embedding, operation: embeddings, model: text-embedding-3-small, objective: 0.5}
  - {name: rag, category: llm, service: rag-app, objective: 0.5}
faults: {windows: [{fault: drill, target: eu-1, experiment_id: exp-c, start: 2026-01-30T10:20:00Z, end: 2026-01-30T10:21:00Z}]}
`

// sendGoldens sends every case as a batch of its own.
func sendGoldens(t *testing.T, e exporter.Traces) {
	t.Helper()
	for _, c := range goldenCases(t) {
		require.NoError(t, e.ConsumeTraces(t.Context(), c.batch(t)), c.name)
	}
}

// saysSomething is SQL that is 1 where a column has more to say than that there
// is nothing.
func saysSomething(column string) string {
	c := `"` + column + `"`
	return "CASE typeof(" + c + ") WHEN 'blob' THEN hex(" + c + ") GLOB '*[1-9A-F]*'" +
		" WHEN 'text' THEN " + c + " NOT IN ('', '{}', '[]') ELSE coalesce(" + c + " <> 0, 0) END"
}
