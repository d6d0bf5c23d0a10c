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

// Columns of a high rank leave first, then those on the right; what must not be
// cut is whole or gone.
func TestColumnsLeaveByRank(t *testing.T) {
	write := func(columns int) string {
		table := tables.New([]int{1})
		table.Text("name", func(*int) string { return "first" })
		table.Whole("trace", func(*int) string { return strings.Repeat("f", 32) })
		table.Rank = 2
		table.Number("dull", func(*int) string { return "1" })
		table.Rank = 1
		table.Number("less", func(*int) string { return "2" })
		table.Rank = 0
		table.Number("good", func(*int) string { return "3" })
		var out strings.Builder
		require.NoError(t, table.Write(tables.Terminal{Writer: &out, Columns: columns}))
		return out.String()
	}
	head := func(columns int) []string {
		line, _, _ := strings.Cut(write(columns), "\n")
		return strings.Fields(line)
	}
	require.Equal(t, []string{"name", "trace", "dull", "less", "good"}, head(57))
	require.Equal(t, []string{"name", "trace", "less", "good"}, head(56))
	require.Equal(t, []string{"name", "trace", "good"}, head(50))
	require.Equal(t, []string{"name", "trace"}, head(44))
	require.Equal(t, []string{"name"}, head(38))
	require.NotContains(t, write(44), "…")
}

// Facts go on below their beginning; a word that is too long stays whole.
func TestFactsAreFolded(t *testing.T) {
	path := "/" + strings.Repeat("long", 10)
	facts := [][2]string{{"file", path + "  (1 KiB)"}, {"of many words", "one two three four five"}, {"short", "a  b"}}
	var out strings.Builder
	require.NoError(t, tables.WriteFacts(tables.Terminal{Writer: &out, Columns: 30}, facts))
	require.Equal(t, strings.Join([]string{
		"file           " + path,
		"               (1 KiB)",
		"of many words  one two three",
		"               four five",
		"short          a  b", "",
	}, "\n"), out.String())
	out.Reset()
	require.NoError(t, tables.WriteFacts(&out, [][2]string{{"n", strings.Repeat("word ", 40)}}))
	for line := range strings.Lines(out.String()) {
		require.LessOrEqual(t, tables.DisplayWidth(line), 101)
	}
}
