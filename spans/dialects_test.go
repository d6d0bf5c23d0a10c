package spans

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the generated tables of docs/dialects.md")

const dialectsPage = "../docs/dialects.md"

// fieldMeanings says for the page what becomes of each field.
var fieldMeanings = [numFields]string{
	fieldService:          "`service`",
	fieldRun:              "`run_id`",
	fieldOperation:        "`operation` (first choice), `category`, and whether tokens count",
	fieldProvider:         "`provider`",
	fieldModel:            "`model`",
	fieldInputTokens:      "`input_tokens`, cached ones included",
	fieldOutputTokens:     "`output_tokens`, reasoning ones included",
	fieldCacheReadTokens:  "`cache_read_tokens`",
	fieldCacheWriteTokens: "`cache_write_tokens`",
	fieldReasoningTokens:  "`reasoning_tokens`",
	fieldTimeToFirstChunk: "time to first token, seconds",
	fieldSession:          "the session; read, not stored yet",
	fieldTool:             "`tool`",
	fieldAgent:            "`agent`",
	fieldStatusCode:       "HTTP status, for `outcome` and `error_type`",
	fieldErrorType:        "`error_type`, and `outcome`",
	fieldResendCount:      "`resends`",
	fieldMCPMethod:        "`operation` (second choice)",
	fieldHTTPMethod:       "`operation` (third choice), with the route",
	fieldHTTPRoute:        "`operation`, after the HTTP method",
	fieldRPCService:       "`operation`, before the RPC method",
	fieldRPCMethod:        "`operation` (fourth choice)",
	fieldDBSystem:         "`category` `database`",
	fieldDBOperation:      "`operation` (fifth choice), with the collection",
	fieldDBCollection:     "`operation`, after the database operation",
	fieldMessagingSystem:  "`category` `messaging`",
}

// TestDialectsPage holds the tables of docs/dialects.md to the tables in this
// package. With -update it writes them.
func TestDialectsPage(t *testing.T) {
	page, err := os.ReadFile(dialectsPage)
	require.NoError(t, err)
	text := string(page)
	for name, table := range map[string]string{
		"fields": fieldTable(t), "operations": operationTable(), "errors": errorTable(),
	} {
		begin, end := "<!-- generated: "+name+" -->\n", "<!-- end: "+name+" -->"
		before, rest, found := strings.Cut(text, begin)
		require.True(t, found, "%s: no %q", dialectsPage, begin)
		written, after, found := strings.Cut(rest, end)
		require.True(t, found, "%s: no %q", dialectsPage, end)
		if !*update {
			require.Equal(t, table, written,
				"the table %q is out of date: go test ./spans -run TestDialectsPage -update", name)
		}
		text = before + begin + table + end + after
	}
	if *update {
		require.NoError(t, os.WriteFile(dialectsPage, []byte(text), 0o600))
	}
}

func fieldTable(t *testing.T) string {
	var table strings.Builder
	table.WriteString("| becomes | read on | attributes, the first present one counts |\n|---|---|---|\n")
	scopes := map[scope]string{onSpan: "span", onResource: "resource", onSpanThenResource: "span, then resource"}
	seen := map[field]bool{}
	for _, s := range sources {
		require.NotEmpty(t, fieldMeanings[s.field], "field %d has no meaning: give it one for the page", s.field)
		require.False(t, seen[s.field], "field %d has two rows", s.field)
		seen[s.field] = true
		fmt.Fprintf(&table, "| %s | %s | `%s` |\n", fieldMeanings[s.field], scopes[s.scope], strings.Join(s.attributes, "`, `"))
	}
	require.Len(t, seen, int(numFields), "every field is read from somewhere")
	return table.String()
}

func operationTable() string {
	var table strings.Builder
	table.WriteString("| `gen_ai.operation.name` | category | tokens and cost count |\n|---|---|---|\n")
	names := slices.SortedFunc(maps.Keys(genAIOperations), func(a, b string) int {
		return cmp.Or(
			cmp.Compare(genAIOperations[a].category, genAIOperations[b].category), cmp.Compare(a, b),
		)
	})
	for _, name := range names {
		operation := genAIOperations[name]
		fmt.Fprintf(&table, "| `%s` | `%s` | %s |\n", name, operation.category, map[bool]string{true: "yes", false: "no"}[operation.leaf])
	}
	return table.String()
}

func errorTable() string {
	var table strings.Builder
	table.WriteString("| step | is | begins with | contains | outcome |\n|---|---|---|---|---|\n")
	cell := func(names []string) string {
		if len(names) == 0 {
			return ""
		}
		return "`" + strings.Join(names, "`, `") + "`"
	}
	for _, step := range []struct {
		number  int
		classes []errorClass
	}{{2, classesBeforeStatus}, {4, classesAfterStatus}} {
		for _, c := range step.classes {
			fmt.Fprintf(&table, "| %d | %s | %s | %s | `%s` |\n", step.number, cell(c.names), cell(c.prefixes), cell(c.parts), c.outcome)
		}
	}
	return table.String()
}
