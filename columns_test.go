package spanbucketexporter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/exporter"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// constantColumns may be NULL, zero or empty in every row, each for its reason.
var constantColumns = map[string]string{
	"request.weight_micro": "requests are not thinned out yet: each stands for itself",
}

// TestNoColumnIsConstant puts all golden spans into one file: every column of
// every relation must say something in some row, or nothing fills it.
func TestNoColumnIsConstant(t *testing.T) {
	path := newFile(t)
	config, err := configFromYAML(t, goldenConfig)
	require.NoError(t, err)
	config.Path = path
	e := startExporter(t, config)
	sendGoldens(t, e)
	stopExporter(t, e)
	reader := openReader(t, path)
	relations, err := storage.Relations(t.Context(), reader)
	require.NoError(t, err)
	require.Greater(t, len(relations), 20)
	for _, relation := range relations {
		sums := make([]string, len(relation.Columns))
		for i, c := range relation.Columns {
			sums[i] = fmt.Sprintf("total(%s) AS \"%s\"", saysSomething(c.Name), c.Name)
		}
		counts := query(t, reader, "SELECT "+strings.Join(sums, ", ")+" FROM "+relation.Name)[0]
		for _, c := range relation.Columns {
			name := relation.Name + "." + c.Name
			if reason, excused := constantColumns[name]; excused {
				assert.Zero(t, counts[c.Name], "%s says something: take it off constantColumns (%s)", name, reason)
				continue
			}
			assert.Positive(t, counts[c.Name], "%s: every row has NULL, zero or nothing there", name)
		}
	}
	for name := range constantColumns {
		relation, column, _ := strings.Cut(name, ".")
		require.Equal(t, []row{{"n": int64(1)}}, query(t, reader, "SELECT count(*) AS n FROM pragma_table_info(?) WHERE name = ?", relation, column), name)
	}
}

// goldenConfig is a configuration without an idle part.
const goldenConfig = `
dimensions: [{name: service.version, default: unknown}]
prices: [{model: "*", input: 2.50, output: 10, cache_read: 1.25, cache_write: 3}]
run: {id: nightly, name: every night, pinned: true}
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
