package tables_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// TestTablesFitTheTerminal: cells of text become shorter before columns leave,
// and what left is named.
func TestTablesFitTheTerminal(t *testing.T) {
	rows := []string{strings.Repeat("long-model-name-", 2), "short"}
	write := func(columns int) string {
		table := tables.New(rows)
		table.Text("model", func(r *string) string { return *r })
		table.Group = "latency ms"
		table.Number("p50", func(*string) string { return "1,234" })
		table.Number("p99", func(*string) string { return "12,345" })
		var out strings.Builder
		require.NoError(t, table.Write(tables.Terminal{Writer: &out, Columns: columns}))
		return out.String()
	}
	for columns := 6; columns < 60; columns++ {
		text := write(columns)
		for line := range strings.Lines(text) {
			if columns >= 12 && !strings.Contains(line, " more column") {
				require.LessOrEqual(t, tables.DisplayWidth(strings.TrimSuffix(line, "\n")), columns, "in %d columns:\n%s", columns, text)
			}
		}
		require.Equal(t, columns < 12+2+5+2+6, strings.Contains(text, " more column"), "in %d columns:\n%s", columns, text)
		require.Equal(t, columns >= 12+2+10, strings.Contains(text, "p50"), "in %d columns:\n%s", columns, text)
		require.Contains(t, text, "short", "the first column always stays")
		require.Equal(t, columns >= 47, strings.Contains(text, rows[0]), "a cell is whole only where there is room")
	}
}
