package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

// errNoMeta ends a verification that cannot go on without meta, or without a
// table.
var errNoMeta = errors.New("meta cannot be used")

func (v *verifier) checkMeta(ctx context.Context) (err error) {
	if v.values, err = metaValues(ctx, v.tx); err != nil {
		return err
	}
	if v.meta, err = parseMeta(v.values); err != nil {
		if err := v.report(Problem{Relation: "meta", Rule: ruleMeta, Stored: err.Error(), Expected: "a value"}); err != nil {
			return err
		}
		return errNoMeta
	}
	var schema int64
	if err := v.tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&schema); err != nil {
		return err
	}
	for _, value := range []struct {
		key              string
		stored, expected int64
	}{
		{"schema_version", v.meta.SchemaVersion, schema},
		{"histogram_precision_bits", v.meta.PrecisionBits, histogram.PrecisionBits},
	} {
		if value.stored != value.expected {
			if err := v.metaProblem(value.key, fmt.Sprint(value.stored), fmt.Sprint(value.expected)); err != nil {
				return err
			}
		}
	}
	if len(v.meta.WriterID) != 32 || strings.Trim(v.meta.WriterID, "0123456789abcdef") != "" {
		if err := v.metaProblem("writer_id", strconv.Quote(v.meta.WriterID), "32 hexadecimal digits"); err != nil {
			return err
		}
	}
	if err := v.checkFaultGap(); err != nil {
		return err
	}
	for i := 1; i < len(v.meta.Widths); i++ {
		if narrow, wide := v.meta.Widths[i-1].Seconds, v.meta.Widths[i].Seconds; wide <= narrow || wide%narrow != 0 {
			return v.metaProblem("widths", fmt.Sprint(wide), fmt.Sprintf("a multiple of %d", narrow))
		}
	}
	return nil
}

// checkFaultGap checks what views make numbers of: they would make 0 of what is
// none.
func (v *verifier) checkFaultGap() error {
	if v.meta.SchemaVersion < requestsSince {
		return nil
	}
	stored, there := v.values["fault_gap_ns"]
	if n, err := strconv.ParseInt(stored, 10, 64); err == nil && n >= 0 {
		return nil
	}
	if stored = strconv.Quote(stored); !there {
		stored = "none"
	}
	return v.metaProblem("fault_gap_ns", stored, "an integer, 0 or more")
}

func (v *verifier) metaProblem(key, stored, expected string) error {
	return v.report(Problem{Relation: "meta", Row: "key=" + key, Rule: ruleMeta, Stored: stored, Expected: expected})
}

// checkRuns checks run and run_category, and learns the runs.
func (v *verifier) checkRuns(ctx context.Context) error {
	err := v.each(ctx, "SELECT run_id, first_ns, last_ns, version FROM run", func(rows *sql.Rows) error {
		var run string
		var first, last sql.NullInt64
		var version int64
		if err := rows.Scan(&run, &first, &last, &version); err != nil {
			return err
		}
		v.runs[run] = true
		if first.Valid != last.Valid || first.Int64 > last.Int64 {
			if err := v.report(Problem{
				Relation: "run", Row: "run_id=" + strconv.Quote(run), Column: "first_ns", Rule: ruleRunSpan,
				Stored: nullText(first), Expected: "at most " + nullText(last),
			}); err != nil {
				return err
			}
		}
		return v.checkVersion("run", "run_id="+strconv.Quote(run), version)
	})
	if err != nil {
		return err
	}
	seen := map[aggregator.Category]bool{}
	if err := v.each(ctx, "SELECT run_id, category, spans FROM run_category", func(rows *sql.Rows) error {
		var run, name string
		var spans int64
		if err := rows.Scan(&run, &name, &spans); err != nil {
			return err
		}
		row := fmt.Sprintf("run_id=%q category=%q", run, name)
		category, ok := aggregator.ParseCategory(name)
		if !ok {
			return v.report(Problem{Relation: "run_category", Row: row, Column: "category", Rule: ruleKnown, Stored: name, Expected: "a category"})
		}
		seen[category] = true
		v.totals[totalKey{0, run, name}] = &total{requests: spans}
		return nil
	}); err != nil {
		return err
	}
	if stored, expected := v.values["headline_category"], headlineCategory(seen); stored != expected {
		return v.report(Problem{Relation: "meta", Row: "key=headline_category", Rule: ruleHeadline, Stored: stored, Expected: expected})
	}
	return nil
}

func nullText(n sql.NullInt64) string {
	if !n.Valid {
		return "NULL"
	}
	return strconv.FormatInt(n.Int64, 10)
}

func (v *verifier) checkVersion(relation, row string, version int64) error {
	if version >= 1 && version <= v.meta.Version {
		return nil
	}
	return v.report(Problem{
		Relation: relation, Row: row, Column: "version", Rule: ruleVersion,
		Stored: strconv.FormatInt(version, 10), Expected: fmt.Sprintf("1 to %d", v.meta.Version),
	})
}

// checkSeries checks series, and learns them.
func (v *verifier) checkSeries(ctx context.Context) error {
	const query = `SELECT series_id, run_id, service, operation, kind, category, provider, model, tool, agent, outcome,
		error_type, fault, dimensions, version FROM series`
	return v.each(ctx, query, func(rows *sql.Rows) error {
		var s aggregator.NamedSeries
		var kind, category, outcome string
		var version int64
		if err := rows.Scan((*int64)(&s.ID), &s.Run, &s.Service, &s.Operation, &kind, &category, &s.Provider, &s.Model,
			&s.Tool, &s.Agent, &outcome, &s.ErrorType, &s.Fault, &s.Dimensions, &version); err != nil {
			return err
		}
		facts := &seriesFacts{run: s.Run, category: category, faulty: s.Fault != "", overflowed: s.Fault == aggregator.Overflow}
		v.series[int64(s.ID)] = facts
		row := fmt.Sprintf("series_id=%d", s.ID)
		var known [3]bool
		s.Kind, known[0] = aggregator.ParseKind(kind)
		s.Category, known[1] = aggregator.ParseCategory(category)
		s.Outcome, known[2] = aggregator.ParseOutcome(outcome)
		facts.outcome = s.Outcome
		for i, column := range []string{"kind", "category", "outcome"} {
			if !known[i] {
				stored := []string{kind, category, outcome}[i]
				return v.report(Problem{Relation: "series", Row: row, Column: column, Rule: ruleKnown, Stored: stored, Expected: "a " + column})
			}
		}
		if err := v.checkVersion("series", row, version); err != nil {
			return err
		}
		return v.checkSeriesValues(row, &s)
	})
}

func (v *verifier) checkSeriesValues(row string, s *aggregator.NamedSeries) error {
	if !v.runs[s.Run] {
		if err := v.report(Problem{Relation: "series", Row: row, Column: "run_id", Rule: ruleRun, Stored: strconv.Quote(s.Run), Expected: "a run"}); err != nil {
			return err
		}
	}
	values := map[string]string{}
	canonical := "{}"
	if err := json.Unmarshal([]byte(s.Dimensions), &values); err == nil && len(values) > 0 {
		canonical = aggregator.DimensionsText(values)
	}
	if s.Dimensions != canonical {
		return v.report(Problem{Relation: "series", Row: row, Column: "dimensions", Rule: ruleDimensions, Stored: s.Dimensions, Expected: canonical})
	}
	if s.Dimensions == "{}" {
		s.Dimensions = ""
	}
	if id := s.Series.ID(); id != s.ID {
		return v.report(Problem{
			Relation: "series", Row: row, Column: "series_id", Rule: ruleSeriesID,
			Stored: fmt.Sprint(int64(s.ID)), Expected: fmt.Sprint(int64(id)),
		})
	}
	return nil
}

// checkCounts reports counts below zero, which SQLite's own check does not see
// in a file that cannot be written.
func (v *verifier) checkCounts(ctx context.Context) error {
	for _, table := range []string{"ledger", "notes"} {
		if err := v.each(ctx, "SELECT reason, spans FROM "+table+" WHERE spans < 0", func(rows *sql.Rows) error {
			var reason string
			var spans int64
			if err := rows.Scan(&reason, &spans); err != nil {
				return err
			}
			return v.report(Problem{
				Relation: table, Row: "reason=" + reason, Column: "spans", Rule: rulePositive,
				Stored: fmt.Sprint(spans), Expected: "0 or more",
			})
		}); err != nil {
			return err
		}
	}
	return nil
}

// checkLedger checks that no span was lost or counted twice.
func (v *verifier) checkLedger(ctx context.Context) error {
	if err := v.checkCounts(ctx); err != nil {
		return err
	}
	var received, folded, others, ofRuns int64
	const query = `SELECT coalesce(sum(CASE WHEN reason = 'received' THEN spans END), 0),
		coalesce(sum(CASE WHEN reason = 'folded' THEN spans END), 0),
		coalesce(sum(CASE WHEN reason <> 'received' THEN spans END), 0) FROM ledger`
	if err := v.tx.QueryRowContext(ctx, query).Scan(&received, &folded, &others); err != nil {
		return err
	}
	if received != others {
		if err := v.report(Problem{
			Relation: "ledger", Row: "reason=received", Column: "spans", Rule: ruleConserved,
			Stored: fmt.Sprint(received), Expected: fmt.Sprint(others),
		}); err != nil {
			return err
		}
	}
	var err error
	if ofRuns, err = v.purged(ctx); err != nil {
		return err
	}
	for key, t := range v.totals {
		if key.width == 0 {
			ofRuns += t.requests
		}
	}
	if folded != ofRuns {
		return v.report(Problem{
			Relation: "ledger", Row: "reason=folded", Column: "spans", Rule: ruleFolded,
			Stored: fmt.Sprint(folded), Expected: fmt.Sprint(ofRuns),
		})
	}
	return nil
}

// purged returns the spans of runs that are no longer there.
func (v *verifier) purged(ctx context.Context) (spans int64, err error) {
	err = v.tx.QueryRowContext(ctx, "SELECT coalesce(sum(spans), 0) FROM notes WHERE reason = 'purged'").Scan(&spans)
	return spans, err
}
