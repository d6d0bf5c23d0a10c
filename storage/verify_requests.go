package storage

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// rowRule is what should hold for each row of a table.
type rowRule struct {
	column   string
	rule     string
	broken   string // SQL that is true for a row that breaks it
	expected string
}

// tableRules are the rules for one table. A row is reported once, for the first
// rule that it breaks.
type tableRules struct {
	table string
	from  string // what broken and row can refer to, selected from
	row   string // SQL that names a row
	rules []rowRule
}

// query returns rows as name, index of the rule and stored value.
func (t *tableRules) query() string {
	var which, stored strings.Builder
	for i, r := range t.rules {
		fmt.Fprintf(&which, "WHEN %s THEN %d ", r.broken, i)
		fmt.Fprintf(&stored, "WHEN %d THEN quote(%s) ", i, r.column)
	}
	return fmt.Sprintf("SELECT %s, broken, CASE broken %sEND FROM (SELECT *, CASE %sEND AS broken FROM %s) WHERE broken IS NOT NULL",
		t.row, &stored, &which, t.from)
}

func (v *verifier) checkRules(ctx context.Context, t *tableRules) error {
	return v.each(ctx, t.query(), func(rows *sql.Rows) error {
		var row, stored string
		var i int
		if err := rows.Scan(&row, &i, &stored); err != nil {
			return err
		}
		r := t.rules[i]
		return v.report(Problem{Relation: t.table, Row: row, Column: r.column, Rule: r.rule, Stored: stored, Expected: r.expected})
	})
}

// idRule is broken by an id that has not as many bytes as it should.
func idRule(column string, size int) rowRule {
	return rowRule{column, ruleIDBytes, fmt.Sprintf("length(%s) <> %d", column, size), strconv.Itoa(size) + " bytes"}
}

// maxDurationNano is the longest usable duration.
const maxDurationNano = 24 * int64(time.Hour)

// requestRules are the rules for rows of request.
var requestRules = func() *tableRules {
	t := &tableRules{
		table: "request",
		from: `(SELECT r.*, s.series_id IS NOT NULL AS known, s.category, s.fault, p.profile_id IS NOT NULL AS profiled, p.circuit
			FROM request AS r LEFT JOIN series AS s ON s.series_id = r.series_id
				LEFT JOIN request_profile AS p ON p.profile_id = r.profile_id)`,
		row: "'start_ns=' || start_ns || ' span_id=' || lower(hex(span_id))",
		rules: []rowRule{
			{"series_id", ruleReference, "NOT known", "a row in series"},
			{"profile_id", ruleReference, "profile_id IS NOT NULL AND NOT profiled", "a row in request_profile"},
			idRule("span_id", 8), idRule("trace_id", 16), idRule("parent_span_id", 8),
			{"start_ns", ruleStart, "start_ns <= 0", "more than 0"},
			{"duration_ns", rulePositive, "duration_ns < -1", "0 or more, or -1"},
			{"duration_ns", ruleTooLong, fmt.Sprintf("duration_ns > %d", maxDurationNano), "86400000000000 or less"},
			{"ttft_ns", ruleTooLong, fmt.Sprintf("ttft_ns > %d", maxDurationNano), "86400000000000 or less"},
			{"kept", ruleKept, "kept NOT BETWEEN 1 AND 31 OR kept & 7 = 0 OR kept & 1 < kept >> 3 & 1 OR kept >> 3 & 1 < kept >> 4",
				"1 to 7, of a request up to 31"},
			{"role", ruleKnown, fmt.Sprintf("role NOT BETWEEN 1 AND %d", aggregator.RoleToolWait), "a role"},
			{"marked", ruleMarked, fmt.Sprintf("marked <> 1 OR coalesce(marked, 0) <> (fault <> '' AND category <> '%s') AND fault <> '%s'",
				aggregator.CategoryFault, aggregator.Overflow), "1 for spans with a fault that are not of its injector, else NULL"},
			{"kept", ruleKeptFaults, "(kept & 4 <> 0) <> (marked IS NOT NULL OR circuit IS NOT NULL)", "the sum with 4, or without"},
			{"session_id", ruleNotEmpty, "session_id = ''", "a text or NULL"},
			{"tool_call_id", ruleNotEmpty, "tool_call_id = ''", "a text or NULL"},
		},
	}
	for _, c := range []requestColumn{
		columnInputTokens, columnOutputTokens, columnCost, columnTTFT, columnInjectedDelay, columnMessageCount,
		columnResends, columnCacheReadTokens, columnCacheWriteTokens, columnReasoningTokens, columnAdjusted,
	} {
		name := requestColumnNames[c]
		t.rules = append(t.rules, rowRule{name, rulePositive, name + " < 0", "0 or more"})
	}
	t.rules = append(t.rules, rowRule{"weight_micro", rulePositive, "weight_micro <= 0", "more than 0"},
		rowRule{"weight_micro", ruleStratumSays, "kept & 16 AND weight_micro IS NOT NULL", "NULL"})
	for _, c := range []requestColumn{columnRole, columnSession, columnToolCallID} {
		name := requestColumnNames[c]
		t.rules = append(t.rules, rowRule{name, ruleSessionOnly, "kept & 3 = 0 AND " + name + " IS NOT NULL", "NULL"})
	}
	for _, c := range requestOnlyColumns {
		name := requestColumnNames[c]
		t.rules = append(t.rules, rowRule{name, ruleRequestOnly, "kept & 1 = 0 AND " + name + " IS NOT NULL", "NULL"})
	}
	return t
}()

// profileRules are the rules for rows of request_profile.
var profileRules = func() *tableRules {
	t := &tableRules{
		table: "request_profile", from: "request_profile", row: "'profile_id=' || profile_id",
		rules: []rowRule{
			{"profile_id", ruleProfileID, "profile_id IS NOT request_profile_id(" + strings.Join(profileColumns[:], ", ") + ")", "the hash of the values"},
			{"status_code", rulePositive, "status_code < 0", "0 or more"},
			{"decision", ruleKnown, "decision NOT IN ('" + strings.Join(decisions[:], "', '") + "')", strings.Join(decisions[:], ", ")},
			{"newest_s", ruleHour, "newest_s <= 0 OR newest_s % 3600 <> 0", "the end of an hour"},
		},
	}
	for _, name := range profileColumns {
		if name != "status_code" {
			t.rules = append(t.rules, rowRule{name, ruleNotEmpty, name + " = ''", "a text or NULL"})
		}
	}
	return t
}()

// eventRules are the rules for what spans tell besides. Names of faults,
// circuits and evaluations may be empty: the span does not say.
var eventRules = []*tableRules{
	{
		table: "fault_window", from: "fault_window", row: "'source=' || source || ' start_ns=' || start_ns",
		rules: []rowRule{
			{"end_ns", ruleWindow, "end_ns < start_ns", "start_ns or more"},
			{"source", ruleKnown, "source NOT IN ('injector', 'config', 'import')", "injector, config or import"},
		},
	},
	{
		table: "circuit_state", from: "circuit_state", row: "'circuit=' || quote(circuit) || ' at_ns=' || at_ns",
		rules: []rowRule{
			{"run_id", ruleRun, "run_id NOT IN (SELECT run_id FROM run)", "a run"},
			{"state", ruleKnown, "state NOT IN ('closed', 'open', 'half_open')", "a state"},
			{"from_state", ruleKnown, "from_state NOT IN ('', 'closed', 'open', 'half_open')", "a state or nothing"},
		},
	},
	{
		table: "evaluation", from: "evaluation", row: "'at_ns=' || at_ns || ' span_id=' || lower(hex(span_id)) || ' ordinal=' || ordinal",
		rules: []rowRule{
			{"run_id", ruleRun, "run_id NOT IN (SELECT run_id FROM run)", "a run"},
			idRule("span_id", 8), idRule("trace_id", 16),
			{"ordinal", rulePositive, "ordinal < 0", "0 or more"},
			{"accepted", ruleKnown, "accepted NOT IN (0, 1)", "0, 1 or NULL"},
		},
	},
	{
		table: "run", from: "run", row: "'run_id=' || quote(run_id)",
		rules: []rowRule{
			{"config_json", ruleObject, "CASE WHEN json_valid(config_json) THEN json_type(config_json) <> 'object' ELSE config_json IS NOT NULL END", "a JSON object"},
			{"attributes", ruleObject, "CASE WHEN json_valid(attributes) THEN json_type(attributes) <> 'object' ELSE attributes IS NOT NULL END", "a JSON object"},
			{"pinned", ruleKnown, "pinned NOT IN (0, 1)", "0 or 1"},
		},
	},
}

// resultRules are the rules for results of tests, and resultTexts their texts.
var (
	resultRules = &tableRules{
		table: "chaos_result", from: "chaos_result", row: "'at_ns=' || at_ns || ' span_id=' || lower(hex(span_id)) || ' ordinal=' || ordinal",
		rules: []rowRule{
			{"run_id", ruleRun, "run_id NOT IN (SELECT run_id FROM run)", "a run"},
			idRule("span_id", 8), idRule("trace_id", 16),
			{"ordinal", rulePositive, "ordinal < 0", "0 or more"},
			{"passed", ruleKnown, "passed NOT IN (0, 1)", "0 or 1"},
			{"duration_ns", rulePositive, "duration_ns < 0", "0 or more, or NULL"},
		},
	}
	resultTexts = tableTexts{"chaos_result", []string{"service", "suite", "name", "expected", "actual", "error"}}
)

// The first schema versions with these tables, and with requests in their
// present form; rows in an older form are not looked at.
const (
	requestsSince = 2
	profilesSince = 5
	resultsSince  = 6
)

// checkRequests checks single requests and what they tell besides.
func (v *verifier) checkRequests(ctx context.Context) error {
	if v.meta.SchemaVersion < requestsSince {
		return nil
	}
	rules, texts := eventRules, textColumns
	if v.meta.SchemaVersion >= profilesSince {
		rules, texts = append([]*tableRules{requestRules, profileRules, stratumRules}, rules...), append(texts, profileTexts...)
	}
	if v.meta.SchemaVersion >= resultsSince {
		rules, texts = append(rules, resultRules), append(texts, resultTexts)
	}
	for _, t := range rules {
		if err := v.checkRules(ctx, t); err != nil {
			return err
		}
	}
	for _, t := range texts {
		if err := v.checkTexts(ctx, t.table, t.columns); err != nil {
			return err
		}
	}
	if v.meta.SchemaVersion >= profilesSince {
		if err := v.checkStrata(ctx); err != nil {
			return err
		}
	}
	return v.checkRequestCounts(ctx)
}

// tableTexts are columns that hold texts which instrumentations choose.
type tableTexts struct {
	table   string
	columns []string
}

// profileTexts are those of the schema that profilesSince names.
var profileTexts = []tableTexts{{"request_profile", slices.DeleteFunc(slices.Clone(profileColumns[:]), func(column string) bool {
	return column == "status_code"
})}}

var textColumns = []tableTexts{
	{"request", []string{"session_id", "tool_call_id"}},
	{"fault_window", []string{"run_id", "fault", "target", "experiment_id"}},
	{"circuit_state", []string{"service", "instance", "circuit"}},
	{"evaluation", []string{"service", "session_id", "name", "label", "source"}},
	{"run", []string{"name", "mode", "profile", "preset"}},
}

// checkTexts reports texts that are not as CleanText leaves them.
func (v *verifier) checkTexts(ctx context.Context, table string, columns []string) error {
	values := make([]sql.NullString, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	query := fmt.Sprintf("SELECT %[1]s FROM %[2]s WHERE coalesce(%[1]s, NULL) IS NOT NULL", strings.Join(columns, ", "), table)
	return v.each(ctx, query, func(rows *sql.Rows) error {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, value := range values {
			if clean, notes := aggregator.CleanText(value.String); notes != 0 {
				if err := v.report(Problem{
					Relation: table, Column: columns[i], Rule: ruleClean,
					Stored: strconv.QuoteToASCII(value.String), Expected: strconv.QuoteToASCII(clean),
				}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
