package mcpserver

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spanbucket/spanbucketexporter/query"
	"github.com/spanbucket/spanbucketexporter/storage"
)

type queryArguments struct {
	SQL string `json:"sql" jsonschema:"one SELECT in SQLite's dialect"`
}

type schemaArguments struct {
	Relation string `json:"relation,omitempty" jsonschema:"describe the columns of this relation; left out: list the relations"`
}

// addSQL adds the tools for questions that no other tool answers.
func (s *server) addSQL() {
	addTool(s, "query", "Ask SQL",
		"One read-only SELECT (SQLite) over the relations of describe_schema, for what no other tool answers. At most 100 rows and 2 s. "+
			"Always filter by width_s: every span is in one bucket of each width. Percentiles must not be averaged: "+
			"histogram_percentile(histogram_merge(histogram), 'p99', min(min_ns), max(max_ns)) over the relation histograms gives nanoseconds.",
		s.query)
	add(s, question[schemaArguments]{"describe_schema", "What can be asked in SQL?",
		"The relations that query can read; with relation, its columns. Units are in the names: _ms, _ns, _s, _utc; bucket_start is in Unix seconds.",
		s.describe, shape{rows: 100}})
}

func (s *server) query(ctx context.Context, in queryArguments) (string, error) {
	answer, err := query.Ask(ctx, s.Path, in.SQL, query.ForAgent())
	if err != nil {
		return "", err
	}
	return rowsOf(answer)
}

// rowsOf writes the answer to a query: its rows as they are, and no longer than
// the limits of the query allow.
func rowsOf(answer *query.Answer) (string, error) {
	n := node{names: []string{"columns", "rows"}, children: []node{{list: true}, {list: true}}}
	for _, name := range answer.Columns {
		text, err := quote(name)
		if err != nil {
			return "", err
		}
		n.children[0].children = append(n.children[0].children, node{text: text})
	}
	for _, row := range answer.Rows {
		line := node{list: true}
		for _, value := range row {
			cell, err := cellOf(value)
			if err != nil {
				return "", err
			}
			line.children = append(line.children, node{text: cell})
		}
		n.children[1].children = append(n.children[1].children, line)
	}
	if answer.Cut != "" {
		text, err := quote(answer.Cut)
		if err != nil {
			return "", err
		}
		n.add("cut", node{text: text})
	}
	return string(n.write(nil)), nil
}

// cellOf writes a value as JSON, which has neither blobs nor infinite numbers.
func cellOf(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "null", nil
	case string:
		return quote(v)
	case []byte:
		return quote(hex.EncodeToString(v))
	case float64:
		if math.IsInf(v, 0) {
			return quote(fmt.Sprint(v))
		}
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	}
	return fmt.Sprint(value), nil
}

// purposes says in a few words what the relations are for.
var purposes = map[string]string{
	"timeseries":            "per width, bucket, run and category: requests by outcome, latency, TTFT, tokens, cost",
	"latency":               "per width, bucket and series (service, operation, model, outcome, fault …): the same",
	"histograms":            "per width, bucket, series and measure: bins as JSON text, for histogram_merge",
	"timeseries_histograms": "the same per run and category",
	"bins":                  "the same, one row per bin",
	"requests":              "kept single requests",
	"runs":                  "test runs",
	"sessions":              "sessions with turns, tools, tokens, cost",
	"tools":                 "tool calls per run and tool",
	"fault_windows":         "when faults were injected",
	"fault_impact":          "before, during, after each fault",
	"circuits":              "transitions of circuit breakers",
	"evaluations":           "scores of answers",
	"chaos_results":         "results of tests, of whatever runner",
	"slos":                  "good and total per objective and bucket",
	"ledger":                "what became of every span received",
	"notes":                 "what was remarkable about spans",
	"meta":                  "facts about the file: widths, headline category …",
}

// relationList is what describe_schema gives without arguments.
type relationList struct {
	Relations map[string]string `json:"relations"` // with their purpose
	Others    []string          `json:"others"`    // for details
}

func (s *server) describe(ctx context.Context, tx *sql.Tx, in schemaArguments) (any, error) {
	relations, err := storage.Relations(ctx, tx)
	if err != nil {
		return nil, err
	}
	list := relationList{Relations: map[string]string{}, Others: []string{}}
	for _, r := range relations {
		if r.Name == in.Relation {
			var columns []string
			for _, c := range r.Columns {
				columns = append(columns, strings.TrimSpace(c.Name+" "+c.Type))
			}
			return "relation " + r.Name + ": " + strings.Join(columns, ", "), nil
		}
		if purpose, known := purposes[r.Name]; known {
			list.Relations[r.Name] = purpose
		} else if r.Kind == "view" {
			list.Others = append(list.Others, r.Name)
		}
	}
	if in.Relation != "" {
		return nil, fmt.Errorf("relation %.60q: is not in the file; describe_schema without it lists them", in.Relation)
	}
	return list, nil
}
