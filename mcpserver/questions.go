package mcpserver

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/spanbucket/spanbucketexporter/analysis"
)

// plain is a question with the arguments of an interval alone.
func plain[Out any](
	s *server, name, title, description string, shape shape, ask func(context.Context, *sql.Tx, analysis.Query) (Out, error),
) {
	add(s, question[interval]{name, title, description, func(ctx context.Context, tx *sql.Tx, in interval) (any, error) {
		q, err := in.query(ctx, s, tx)
		if err != nil {
			return nil, err
		}
		return ask(ctx, tx, q)
	}, shape})
}

type latencyArguments struct {
	interval
	By    []string `json:"by,omitempty" jsonschema:"dimensions to split by: service, operation, kind, category, provider, model, tool, agent, outcome, error_type, fault, run_id or a configured one; left out: model; an empty list: none"`
	Limit *int64   `json:"limit,omitempty" jsonschema:"at most so many rows, 1 to 50, the others summed up in other; left out: 10"`
}

type courseArguments struct {
	interval
	widths
	Buckets *int64 `json:"buckets,omitempty" jsonschema:"at most so many buckets, 1 to 60; left out: 20"`
}

type usageArguments struct {
	interval
	By    []string `json:"by,omitempty" jsonschema:"dimensions to split by, such as provider, model, service or run_id; left out: model"`
	Limit *int64   `json:"limit,omitempty" jsonschema:"at most so many rows, 1 to 50; left out: 10"`
}

type errorsArguments struct {
	interval
	Limit *int64 `json:"limit,omitempty" jsonschema:"at most so many rows of each list, 1 to 50; left out: 10"`
}

// byModel is what is split by where nothing is said.
func byModel(by []string) []string {
	if by == nil {
		return []string{"model"}
	}
	return by
}

// addQuestions adds the tools over the headline.
func (s *server) addQuestions() {
	plain(s, "diagnose", "How did it go?",
		"One paragraph: status OK, WARNING, CRITICAL or NO_DATA and why, share of successes, main errors, bursts, faults. Begin here.",
		shape{}, s.diagnose)
	plain(s, "stats", "What is in the file?",
		"Runs, categories with requests, error rate, latency percentiles (ms), tokens and cost; what became of every span "+
			"received (ledger, notes). Covers all categories unless told otherwise.",
		shape{rows: 8, drop: []string{"widths", "writer_id", "bytes", "commits", "pruned"}}, analysis.AskOverview)
	add(s, question[latencyArguments]{"latency", "How long did requests take?",
		"Latency, latency without injected delay (net), time to first token and time per output token in milliseconds, by model or " +
			"any dimensions. Percentiles are nearest-rank from merged histograms, within 0.79 %. error_correlation says whether " +
			"requests took longer while others were rejected.",
		s.latency, shape{rows: 50, drop: []string{"cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "slow_threshold_ms"}}})
	add(s, question[courseArguments]{"timeseries", "How did it develop?",
		"Requests, outcomes, latency percentiles (ms), tokens and cost per bucket, without gaps: a bucket without requests is there with 0. " +
			"Buckets beyond some 20 are left out at the end: rather choose from, to and width.",
		s.course, shape{rows: 60, drop: []string{"bucket_start", "completed_total", "usage_count", "cache_read_tokens", "cache_write_tokens",
			"reasoning_tokens", "priced_count", "min_ms", "resends"}}})
	add(s, question[errorsArguments]{"errors", "What failed?",
		"Failed requests by outcome, error type and HTTP status: counts (exact), shares, first and last seen, how many carry an injected fault, sample trace ids.",
		s.errors, shape{drop: []string{"source", "span_id"}}})
	add(s, question[interval]{"bursts", "When were requests refused?",
		"Bursts of rate limiting and overload in seconds, before, during and after each, whether one is still active; and how clients behaved (AIMD).",
		s.bursts, shape{rows: 6}})
	add(s, question[interval]{"anomalies", "What is remarkable?",
		"Throughput cliffs, latency spikes, unexpected errors, clusters of errors, silent periods. What a known fault explains is marked as expected.",
		s.anomalies, shape{drop: []string{"start", "end", "figure", "unit"}}})
	add(s, question[usageArguments]{"usage", "What did it cost?",
		"Tokens and cost (US dollars) by model or any dimensions; usage_count and priced_count say how many requests the sums come from.",
		s.usage, shape{}})
	plain(s, "window", "What happened in an interval?",
		"Figures inside the interval from … to, beside those of the rest of the run; error types and fault windows that touch it.",
		shape{}, s.window)
	plain(s, "slo", "Are the objectives met?",
		"Service level objectives: good and total requests (exact), share of the error budget spent, burn rates over 1 h, 6 h, 3 d and 30 d. Empty where none is configured.",
		shape{drop: []string{"window_s", "covered"}}, analysis.AskSLOs)
	add(s, question[nothing]{"runs", "Which test runs are there?",
		"Run ids with name, first and last span, requests.",
		func(ctx context.Context, tx *sql.Tx, _ nothing) (any, error) { return analysis.AskRuns(ctx, tx) },
		shape{rows: 20, drop: []string{"config_json", "attributes"}}})
	s.addCompare()
}

func (s *server) diagnose(ctx context.Context, tx *sql.Tx, q analysis.Query) (any, error) {
	answer, err := analysis.AskDiagnosis(ctx, tx, q)
	if err != nil {
		return nil, err
	}
	return diagnosisText(answer), nil
}

// diagnosisText is a diagnosis with the most important first; what does not fit
// is cut off.
func diagnosisText(d *analysis.Diagnosis) string {
	said := d.Status
	if len(d.Reasons) > 0 {
		said += " (" + strings.Join(d.Reasons, "; ") + ")"
	}
	said += ": " + d.Text
	if len(d.Patterns) > 0 {
		said += " Patterns: " + strings.Join(d.Patterns, ", ") + "."
	}
	text := []rune(said)
	if len(text) > maxDiagnosis {
		text = append(text[:maxDiagnosis-1], '…')
	}
	return string(text)
}

// maxDiagnosis is how many characters a diagnosis has at most.
const maxDiagnosis = 600

func (s *server) latency(ctx context.Context, tx *sql.Tx, in latencyArguments) (any, error) {
	q, err := in.query(ctx, s, tx)
	if err != nil {
		return nil, err
	}
	all, err := percentiles()
	if err != nil {
		return nil, err
	}
	limit, err := rows(in.Limit, usualRows, 50)
	if err != nil {
		return nil, fmt.Errorf("latency: %w", err)
	}
	return analysis.AskLatency(ctx, tx, analysis.LatencyQuery{
		Query: q, By: byModel(in.By), Percentiles: all, Limit: int(limit), Correlate: true,
	})
}

func (s *server) errors(ctx context.Context, tx *sql.Tx, in errorsArguments) (any, error) {
	q, err := in.query(ctx, s, tx)
	if err != nil {
		return nil, err
	}
	limit, err := rows(in.Limit, usualRows, 50)
	if err != nil {
		return nil, fmt.Errorf("errors: %w", err)
	}
	answer, err := analysis.AskErrors(ctx, tx, q)
	return limited{answer, int(limit)}, err
}

func (s *server) course(ctx context.Context, tx *sql.Tx, in courseArguments) (any, error) {
	q, err := in.query(ctx, s, tx)
	if err == nil {
		err = in.set(&q)
	}
	if err != nil {
		return nil, err
	}
	buckets, err := rows(in.Buckets, 20, 60)
	if err != nil {
		return nil, fmt.Errorf("buckets: %w", err)
	}
	return analysis.AskCourse(ctx, tx, analysis.CourseQuery{Query: q, MaxBuckets: int(buckets)})
}

func (s *server) bursts(ctx context.Context, tx *sql.Tx, in interval) (any, error) {
	q, err := in.query(ctx, s, tx)
	if err != nil {
		return nil, err
	}
	return analysis.AskBursts(ctx, tx, analysis.BurstsQuery{Query: q})
}

func (s *server) anomalies(ctx context.Context, tx *sql.Tx, in interval) (any, error) {
	q, err := in.query(ctx, s, tx)
	if err != nil {
		return nil, err
	}
	return analysis.AskAnomalies(ctx, tx, analysis.AnomaliesQuery{Query: q})
}

func (s *server) usage(ctx context.Context, tx *sql.Tx, in usageArguments) (any, error) {
	q, err := in.query(ctx, s, tx)
	if err != nil {
		return nil, err
	}
	limit, err := rows(in.Limit, usualRows, 50)
	if err != nil {
		return nil, fmt.Errorf("usage: %w", err)
	}
	answer, err := analysis.AskUsage(ctx, tx, analysis.UsageQuery{Query: q, By: byModel(in.By)})
	return limited{answer, int(limit)}, err
}

func (s *server) window(ctx context.Context, tx *sql.Tx, q analysis.Query) (*analysis.Window, error) {
	if q.From.IsZero() && q.To.IsZero() {
		return nil, fmt.Errorf("from and to are missing: an interval of all there is has nothing beside it")
	}
	return analysis.AskWindow(ctx, tx, q)
}

type compareArguments struct {
	Baseline  side     `json:"baseline" jsonschema:"what to compare with"`
	Candidate side     `json:"candidate" jsonschema:"what to judge"`
	Category  []string `json:"category,omitempty" jsonschema:"only these categories; left out: what the file calls requests"`
	By        []string `json:"by,omitempty" jsonschema:"dimensions of the strata; left out: model"`
	WarmupS   int64    `json:"warmup_s,omitempty" jsonschema:"seconds to leave out at the beginning of both sides"`
}

type side struct {
	Run  *string `json:"run,omitempty" jsonschema:"run id; left out: every run"`
	From string  `json:"from,omitempty" jsonschema:"begin: 2026-01-30T10:00:00Z, @1769767200, +40s since the run began or -10m before its end"`
	To   string  `json:"to,omitempty" jsonschema:"end, itself not part of it; same forms"`
}

func (s *server) addCompare() {
	add(s, question[compareArguments]{"compare", "Did it get better or worse?",
		"Two runs or windows, aligned on their starts: relative change of each metric with its 95 % interval and a verdict " +
			"(better, worse, no evidence). Only a change of at least 5 % whose interval excludes zero gets one.",
		func(ctx context.Context, tx *sql.Tx, in compareArguments) (any, error) {
			asked := analysis.ComparisonQuery{By: in.By, Warmup: time.Duration(in.WarmupS) * time.Second}
			for _, one := range []struct {
				name string
				side
				query *analysis.Query
			}{{"baseline", in.Baseline, &asked.Baseline}, {"candidate", in.Candidate, &asked.Candidate}} {
				arguments := interval{Run: one.Run, From: one.From, To: one.To, Category: in.Category}
				q, err := arguments.query(ctx, s, tx)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", one.name, err)
				}
				*one.query = q
			}
			if in.WarmupS < 0 || in.WarmupS > 86400 {
				return nil, fmt.Errorf("warmup_s %d: must be 0 to 86400", in.WarmupS)
			}
			return analysis.AskComparison(ctx, tx, tx, asked)
		}, shape{drop: []string{"block_s"}}})
}
