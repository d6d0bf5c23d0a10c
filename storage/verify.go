package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strconv"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// Problem is a rule that a row of a file breaks.
type Problem struct {
	Relation string `json:"relation"` // the table
	Row      string `json:"row"`      // its key; empty where the whole relation is meant
	Column   string `json:"column"`   // empty where no single one is meant
	Rule     string `json:"rule"`     // what should hold
	Stored   string `json:"stored"`   // what the file says
	Expected string `json:"expected"` // what it should say
}

// String returns the problem as one line.
func (p Problem) String() string {
	text := p.Relation
	for _, part := range []string{p.Row, p.Column} {
		if part != "" {
			text += " " + part
		}
	}
	return text + ": " + p.Rule + ": stored " + p.Stored + ", expected " + p.Expected
}

// Verify checks that the file is whole and that the numbers in it agree with
// each other, and yields every problem it finds. It reads the file once, in one
// snapshot, and keeps in memory what one bucket of each width holds, besides
// the series, the runs and the deduplication window. Rules between rows are not checked for rows that already
// break one of their own. An error ends it.
func (r *Reader) Verify(ctx context.Context) iter.Seq2[Problem, error] {
	return func(yield func(Problem, error) bool) {
		err := r.View(ctx, func(tx *sql.Tx) error {
			v := &verifier{
				tx: tx, whole: tx, yield: func(p Problem) bool { return yield(p, nil) },
				runs: map[string]bool{}, series: map[int64]*seriesFacts{}, broken: map[string]bool{},
				totals: map[totalKey]*total{}, spoiled: map[int64]bool{},
			}
			// SQLite ignores CHECK on a connection that is read-only.
			if r.keeper != nil {
				v.whole = r.keeper
			}
			return v.verify(ctx)
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Problem{}, fmt.Errorf("verify: %w", err))
		}
	}
}

// verifier is one run of Verify.
type verifier struct {
	tx    *sql.Tx
	whole Querier // what SQLite's own check runs on
	yield func(Problem) bool
	// broken holds the relations that a problem was reported of.
	broken map[string]bool
	// refused holds the relations with rows that their own CHECK refuses.
	refused []string

	values map[string]string // of meta
	meta   *Meta
	runs   map[string]bool
	series map[int64]*seriesFacts
	totals map[totalKey]*total
	// completeFrom is that of each width that was pruned.
	completeFrom map[int64]int64
	// spoiled are the widths whose totals cannot be right, as a row is not.
	spoiled map[int64]bool
}

// seriesFacts is what rows of a series are compared by.
type seriesFacts struct {
	run, category string
	outcome       aggregator.Outcome
	faulty        bool
	overflowed    bool // beyond the cap: what it says of a fault is lost
	// newest is newest_s, where dated.
	newest int64
	dated  bool
}

// report yields a problem. It returns errStop when nobody wants more.
func (v *verifier) report(p Problem) error {
	v.broken[p.Relation] = true
	return goOn(v.yield(p))
}

// verify runs every check. Where the file is so damaged that a check cannot
// read it, that is one more problem, not an error, and the checks that follow
// have nothing to go by.
func (v *verifier) verify(ctx context.Context) error {
	for _, check := range []struct {
		relation string
		run      func(context.Context) error
	}{
		{"sqlite", v.checkIntegrity}, {"sqlite", v.checkReferences}, {"sqlite", v.checkSchema}, {"meta", v.checkMeta}, {"run", v.checkRuns},
		{"series", v.checkSeries}, {"pruned", v.checkPruned}, {"headline_bucket", v.checkBuckets}, {"headline_bucket", v.checkTotals},
		{"slo_bucket", v.checkObjectives},
		{"ledger", v.checkLedger}, {"request", v.checkRequests}, {"fingerprint", v.checkReliability},
	} {
		err := check.run(ctx)
		if errors.Is(err, errNoMeta) {
			break
		}
		if code := primaryCode(err); code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB {
			err = v.report(Problem{Relation: check.relation, Rule: ruleReadable, Stored: err.Error(), Expected: "rows"})
			if err == nil && check.relation != "sqlite" {
				break
			}
		}
		if err != nil {
			return err
		}
	}
	return v.checkRefused()
}

// The rules, as they are reported.
const (
	ruleReadable   = "can be read"
	ruleIntegrity  = "SQLite's integrity check finds nothing"
	ruleReference  = "refers to a row that exists"
	ruleSchema     = "is there as in every file of its schema"
	ruleMeta       = "says what a reader must know"
	ruleVersion    = "is a version from 1 to that in meta"
	ruleKnown      = "is a known name"
	ruleRun        = "has a row in run"
	ruleRunSpan    = "a run begins before it ends"
	ruleSeriesID   = "is derived from the values of the series"
	ruleDimensions = "is a JSON object of texts, keys ascending"
	ruleWidth      = "is one of the widths in meta"
	ruleAligned    = "is a multiple of width_s"
	ruleOutcomes   = "is the sum of the ten outcomes"
	ruleCounter    = "is from 0 to requests"
	rulePositive   = "is not negative"
	ruleEmpty      = "is NULL where nothing was measured, and only there"
	ruleHistogram  = "the bins fit count, sum, minimum and maximum"
	ruleOrder      = "minimum, percentiles and maximum ascend"
	rulePercentile = "is the percentile that the histogram gives"
	ruleSlowest    = "names the slowest span where there is one"
	ruleMissing    = "has a row of histograms"
	ruleMerge      = "is the merge of the narrower buckets"
	ruleSplit      = "is the sum over its series"
	ruleNewest     = "is after the start of the newest bucket"
	ruleTotal      = "all requests add up to the spans of the run and category"
	ruleCompleted  = "as many spans completed as have a duration"
	ruleConserved  = "received is the sum of all other rows"
	ruleFolded     = "folded is the sum of the spans of all runs, and of those that were purged"
	ruleHeadline   = "follows from the categories of the file"

	ruleIDBytes     = "is an id of as many bytes as it should have"
	ruleKept        = "says what the row is kept for"
	ruleKeptFaults  = "has 4 where a fault touched the span or it names a circuit, and only there"
	ruleSessionOnly = "is NULL where the span is kept neither as a request nor for sessions"
	ruleTooLong     = "is not more than 24 h"
	ruleStart       = "is after 1970 began"
	ruleNotEmpty    = "is not empty"
	ruleCounted     = "a bucket counts at least the rows that lie in it"
	ruleMarked      = "says whether a fault touched the span"
	ruleProfileID   = "is the hash of the values"
	ruleHour        = "is the end of an hour"
	ruleRequestOnly = "is NULL where the span is not kept as a request"
	ruleWindow      = "a window begins before it ends"
	ruleObject      = "is a JSON object"
	ruleClean       = "is valid, short and without NUL"
	ruleOneRow      = "a span has at most one row"
)

// checkIntegrity runs SQLite's own check. Rows that break a CHECK of their
// table are left to the checks that can say which and how: checkRefused
// reports those that remain.
func (v *verifier) checkIntegrity(ctx context.Context) error {
	return eachRow(ctx, v.whole, "PRAGMA integrity_check", func(rows *sql.Rows) error {
		var message, table string
		if err := rows.Scan(&message); err != nil || message == "ok" {
			return err
		}
		if n, _ := fmt.Sscanf(message, "CHECK constraint failed in %s", &table); n == 1 {
			v.refused = append(v.refused, table)
			return nil
		}
		return v.report(Problem{Relation: "sqlite", Rule: ruleIntegrity, Stored: message, Expected: "ok"})
	})
}

func (v *verifier) checkRefused() error {
	for _, table := range v.refused {
		if v.broken[table] {
			continue
		}
		if err := v.report(Problem{
			Relation: table, Rule: ruleIntegrity, Stored: "a row that breaks a CHECK", Expected: "none",
		}); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) checkReferences(ctx context.Context) error {
	return v.each(ctx, "PRAGMA foreign_key_check", func(rows *sql.Rows) error {
		var table, parent string
		var row sql.NullInt64
		var constraint int64
		if err := rows.Scan(&table, &row, &parent, &constraint); err != nil {
			return err
		}
		p := Problem{Relation: table, Rule: ruleReference, Stored: "no such row", Expected: "a row in " + parent}
		if row.Valid {
			p.Row = "rowid=" + strconv.FormatInt(row.Int64, 10)
		}
		return v.report(p)
	})
}

// each calls scan for every row of a query.
func (v *verifier) each(ctx context.Context, query string, scan func(*sql.Rows) error) error {
	return eachRow(ctx, v.tx, query, scan)
}
