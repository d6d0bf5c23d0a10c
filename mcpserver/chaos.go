package mcpserver

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/spanbucket/spanbucketexporter/analysis"
)

type sessionsArguments struct {
	interval
	SessionID *string `json:"session_id,omitempty" jsonschema:"only the session of this id"`
	Service   *string `json:"service,omitempty" jsonschema:"only sessions of this service; the empty text means those without"`
	Sort      string  `json:"sort,omitempty" jsonschema:"requests, errors, tool_calls, duration, tokens, cost or start; most first"`
	Limit     *int64  `json:"limit,omitempty" jsonschema:"at most so many sessions, 1 to 50; left out: 10"`
}

type circuitsArguments struct {
	interval
	Limit *int64 `json:"limit,omitempty" jsonschema:"at most so many transitions, the last ones, 1 to 50; left out: 10"`
}

type toolsArguments struct {
	interval
	Tool  string `json:"tool,omitempty" jsonschema:"only the tool of this name"`
	Limit *int64 `json:"limit,omitempty" jsonschema:"at most so many tools, those with the most calls, 1 to 50; left out: 10"`
}

type testsArguments struct {
	interval
	Limit *int64 `json:"limit,omitempty" jsonschema:"at most so many tests, 1 to 50; left out: 10"`
}

// addChaos adds the tools about faults and what goes on around requests.
func (s *server) addChaos() {
	plain(s, "faults", "What did injected faults do?",
		"For each fault: requests, error rate and latency before, during and after, net of the injected delay, and how long recovery took.",
		shape{rows: 5, drop: []string{"windows", "kind_rows", "sources", "covered_s", "min_ms"}}, analysis.AskFaultImpact)
	add(s, question[circuitsArguments]{"circuits", "Which circuit breakers tripped?",
		"Circuit breakers: how often each opened, for how long, its last transitions.", s.circuits, shape{rows: 50}})
	add(s, question[sessionsArguments]{"sessions", "What happened in sessions?",
		"Sessions of users or agents: requests, errors, tool calls, turns, think and response time in seconds, tokens, cost (US dollars).",
		s.sessions, shape{rows: 50}})
	add(s, question[toolsArguments]{"tools", "How did tools do?",
		"Tool calls by tool: calls, error rate, latency (ms), time waited for a human, accepted and rejected.", s.tools, shape{}})
	add(s, question[testsArguments]{"tests", "Which tests passed?",
		"Results of tests that spans tell of, such as those of a chaos test run: passed and failed, what was expected and what was seen. Those that failed come first.",
		s.tests, shape{}})
}

func (s *server) circuits(ctx context.Context, tx *sql.Tx, in circuitsArguments) (any, error) {
	q, err := in.query(ctx, s, tx)
	if err != nil {
		return nil, err
	}
	limit, err := rows(in.Limit, usualRows, 50)
	if err != nil {
		return nil, fmt.Errorf("circuits: %w", err)
	}
	return analysis.AskCircuits(ctx, tx, analysis.CircuitsQuery{Query: q, Limit: int(limit)})
}

func (s *server) sessions(ctx context.Context, tx *sql.Tx, in sessionsArguments) (any, error) {
	q, err := in.query(ctx, s, tx)
	if err != nil {
		return nil, err
	}
	limit, err := rows(in.Limit, usualRows, 50)
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	return analysis.AskSessions(ctx, tx, analysis.SessionsQuery{
		Query: q, Sort: in.Sort, Limit: int(limit), SessionID: in.SessionID, Service: in.Service,
	})
}

func (s *server) tools(ctx context.Context, tx *sql.Tx, in toolsArguments) (any, error) {
	q, err := in.query(ctx, s, tx)
	if err != nil {
		return nil, err
	}
	limit, err := rows(in.Limit, usualRows, 50)
	if err != nil {
		return nil, fmt.Errorf("tools: %w", err)
	}
	answer, err := analysis.AskTools(ctx, tx, q)
	if err != nil {
		return nil, err
	}
	if in.Tool != "" {
		answer.Rows = slices.DeleteFunc(answer.Rows, func(t analysis.Tool) bool { return t.Tool != in.Tool })
		answer.Total = nil // of all tools
		if len(answer.Rows) == 0 {
			return nil, fmt.Errorf("tools: tool %.60q: was not called in this interval; without it, all are listed", in.Tool)
		}
	}
	return limited{answer, int(limit)}, nil
}

func (s *server) tests(ctx context.Context, tx *sql.Tx, in testsArguments) (any, error) {
	q, err := in.query(ctx, s, tx)
	if err != nil {
		return nil, err
	}
	limit, err := rows(in.Limit, usualRows, 50)
	if err != nil {
		return nil, fmt.Errorf("tests: %w", err)
	}
	answer, err := analysis.AskChaosResults(ctx, tx, q)
	if err != nil {
		return nil, err
	}
	failed := func(c analysis.ChaosResult) int {
		if c.Passed {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(answer.Rows, func(a, b analysis.ChaosResult) int { return failed(a) - failed(b) })
	return limited{answer, int(limit)}, nil
}
