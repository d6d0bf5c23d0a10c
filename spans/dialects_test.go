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
	fieldService:              "`service`",
	fieldRun:                  "`run_id`",
	fieldOperation:            "`operation`, `category`, and whether tokens count; [the words](#operation-and-category)",
	fieldProvider:             "`provider`",
	fieldModel:                "`model`",
	fieldTool:                 "`tool`",
	fieldAgent:                "`agent`",
	fieldEntity:               "`tool` of a tool span, `agent` of an agent span, where none of the above names it",
	fieldInputTokens:          "`input_tokens`, cached ones included",
	fieldOutputTokens:         "`output_tokens`, reasoning ones included",
	fieldCacheReadTokens:      "`cache_read_tokens`",
	fieldCacheWriteTokens:     "`cache_write_tokens`",
	fieldReasoningTokens:      "`reasoning_tokens`",
	fieldUsageDetails:         "all of these, from a JSON object",
	fieldCost:                 "`cost_usd`",
	fieldCostDetails:          "`cost_usd`, from `total` of a JSON object",
	fieldTimeToFirstToken:     "time to first token, in the unit of the name, else in seconds",
	fieldFirstTokenTime:       "time to first token, as a time of day",
	fieldSession:              "`session_id`",
	fieldStatusCode:           "`status_code`; for `outcome` and `error_type`",
	fieldErrorType:            "`error_type`, and `outcome`",
	fieldErrorFlag:            "failed where it is `true`",
	fieldSuccess:              "failed where it is `false`",
	fieldLevel:                "failed where it is `ERROR`",
	fieldRPCStatus:            "`error_type`, of gRPC by name",
	fieldResendCount:          "`resend_count`",
	fieldAttempt:              "`resend_count` plus one",
	fieldMCPMethod:            "`operation` (second choice)",
	fieldHTTPMethod:           "`operation` (third choice), with the route",
	fieldHTTPRoute:            "`operation`, after the HTTP method; `endpoint`",
	fieldRPCService:           "`operation`, before the RPC method",
	fieldRPCMethod:            "`operation` (fourth choice)",
	fieldDBSystem:             "`category` `database`",
	fieldDBOperation:          "`operation` (fifth choice), with the collection",
	fieldDBCollection:         "`operation`, after the database operation",
	fieldMessagingSystem:      "`category` `messaging`",
	fieldMessagingOperation:   "`operation` (sixth choice), with the destination",
	fieldMessagingDestination: "`operation`, after the messaging operation",
	fieldMessagingAnonymous:   "the destination is `(anonymous)` where it is `true`",
	fieldFault:                "`fault`",
	fieldFaultDelay:           "`injected_delay_ms`; alone, `fault` is `latency`",
	fieldFaultStatus:          "`fault` is `abort`",
	fieldFaultHeaderDelay:     "`fault` is `latency`",
	fieldFaultHeaderAbort:     "`fault` is `abort`",
	fieldAttack:               "`fault` is `gremlin`",
	fieldResponseFlags:        "`fault` (`DI`, `FI`), and `outcome`",
	fieldInjectorRole:         "`category` `fault` where it is `injector`",
	fieldChaosToolkit:         "`category` `fault`",
	fieldChaosActivity:        "the span gives a window where it is `action`",
	fieldExperiment:           "`experiment_id`",
	fieldTarget:               "`target` of a window",
	fieldPhase:                "`phase`",
	fieldToolCallID:           "`tool_call_id`",
	fieldDecision:             "`decision`: `accept`, `reject`, `auto`, `modify`",
	fieldDecisionSource:       "`decision_source`",
	fieldCircuit:              "`circuit`",
	fieldPipeline:             "`circuit`, before the strategy",
	fieldStrategy:             "`circuit`, after the pipeline",
	fieldCircuitState:         "state of the circuit at the end of the span",
	fieldAnnotated:            "`evaluations`; numbered",
	fieldInstance:             "`instance`",
	fieldHost:                 "`instance`, before the process",
	fieldProcess:              "`instance`, after the host",
	fieldResponseModel:        "`response_model`",
	fieldDeployment:           "`deployment`, on Azure, where no URL names it",
	fieldURL:                  "`endpoint` where the end of the path is a known API, `deployment`; nothing else of it is stored",
	fieldURLTemplate:          "`endpoint`",
	fieldServerAddress:        "`endpoint`, where nothing else says it",
	fieldServerPort:           "`endpoint`, after the address",
	fieldFinishReason:         "`finish_reason`",
	fieldMessages:             "`message_count`; nothing else of them is read",
	fieldRunName:              "`name` of the run",
	fieldRunMode:              "`mode` of the run",
	fieldRunProfile:           "`profile` of the run",
	fieldRunPreset:            "`preset` of the run",
	fieldRunConfig:            "`config_json` of the run, a JSON object",
	fieldTestCase:             "`name` of a test",
	fieldTestResult:           "`passed` of a test: `pass`, `fail`",
	fieldTestSuite:            "`suite` of a test",
	fieldTestExpected:         "`expected` of a test",
	fieldTestActual:           "`actual` of a test",
	fieldExperimentTitle:      "`name` of a test: an experiment",
	fieldExperimentStatus:     "`passed` of an experiment: `completed`, `failed`",
	fieldExperimentDeviated:   "`passed` and `actual` of an experiment",
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
		names := "`" + strings.Join(slices.Concat(s.attributes, s.claudeCode), "`, `") + "`"
		for _, name := range s.claudeCode {
			names = strings.Replace(names, "`"+name+"`", "`"+name+"` (Claude Code)", 1)
		}
		fmt.Fprintf(&table, "| %s | %s | %s |\n", fieldMeanings[s.field], scopes[s.scope], names)
	}
	require.Len(t, seen, int(numFields), "every field is read from somewhere")
	return table.String()
}

func operationTable() string {
	var table strings.Builder
	table.WriteString("| attribute | words | operation | category | tokens and cost count |\n|---|---|---|---|---|\n")
	section := func(attribute string, words map[string]meaning) {
		byMeaning := map[meaning][]string{}
		for _, word := range slices.Sorted(maps.Keys(words)) {
			byMeaning[words[word]] = append(byMeaning[words[word]], word)
		}
		meanings := slices.SortedFunc(maps.Keys(byMeaning), func(a, b meaning) int {
			return cmp.Or(cmp.Compare(a.category, b.category), cmp.Compare(a.operation, b.operation),
				cmp.Compare(byMeaning[a][0], byMeaning[b][0]))
		})
		for _, m := range meanings {
			operation := "`" + m.operation + "`"
			if m.operation == "" {
				operation = "the word"
			}
			fmt.Fprintf(&table, "| %s | `%s` | %s | `%s` | %s |\n", attribute, strings.Join(byMeaning[m], "`, `"), operation,
				m.category, map[bool]string{true: "yes", false: "no"}[m.leaf])
		}
	}
	for _, s := range sources {
		if s.field == fieldOperation {
			for _, attribute := range s.attributes {
				section("`"+attribute+"`", words[attribute])
			}
		}
	}
	section("span name", claudeCodeSpans)
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
