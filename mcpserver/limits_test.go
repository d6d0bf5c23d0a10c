package mcpserver_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// table is a list of objects as answers have it: as a list, or as columns and
// rows where there are three at least.
type table struct{ rows []any }

func (t *table) UnmarshalJSON(text []byte) error {
	var tall struct{ Rows []any }
	if err := json.Unmarshal(text, &tall); err == nil {
		t.rows = tall.Rows
		return nil
	}
	return json.Unmarshal(text, &t.rows)
}

// Lists are short unless somebody asks for more of them.
func TestLimits(t *testing.T) {
	session := startHere(t, makeBusyFile(t))
	listed := func(tool, list string, arguments map[string]any) int {
		text, failed := call(t, session, tool, arguments)
		require.False(t, failed, text)
		var answer map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(text), &answer), text)
		var rows table
		require.NoError(t, json.Unmarshal(answer[list], &rows), text)
		return len(rows.rows)
	}
	by := []string{"model", "operation", "service", "outcome"}
	for _, c := range []struct {
		tool, list string
		arguments  map[string]any
		long       bool // there are more than ten
	}{
		{"latency", "rows", map[string]any{"by": by}, true},
		{"usage", "rows", map[string]any{"by": by}, true},
		{"errors", "by_type", map[string]any{}, false},
		{"tools", "rows", map[string]any{}, false},
	} {
		if usual := listed(c.tool, c.list, c.arguments); c.long {
			require.Equal(t, 10, usual, c.tool)
			c.arguments["limit"] = 50
			require.Greater(t, listed(c.tool, c.list, c.arguments), 10, c.tool)
		} else {
			require.Greater(t, usual, 1, c.tool)
		}
		c.arguments["limit"] = 1
		require.Equal(t, 1, listed(c.tool, c.list, c.arguments), c.tool)
	}
	text, failed := call(t, session, "tools", map[string]any{"tool": "read_file"})
	require.False(t, failed, text)
	require.Contains(t, text, `"rows":[{"tool":"read_file","calls":`)
	require.NotContains(t, text, `"total"`)
	text, failed = call(t, session, "latency", nil)
	require.False(t, failed, text)
	require.Contains(t, text, `"error_correlation":{`)
}
