package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// activityReading is a query that is answered from single spans and sightings
// rather than from buckets.
type activityReading struct {
	query Query
	meta  *storage.Meta
	// from and to bound the start of spans: from <= start < to, Unix
	// nanoseconds.
	from, to int64
	// The same for spans, and no further than the run has any.
	firstSpan, lastSpan int64
	byIndex             bool  // that is a small part of the file
	settled             int64 // what starts later may not have; MaxInt64: all has, or is wanted all the same
	scope               Scope
	headline            []string // categories that count as requests
	// completeFrom is from where on no span has been deleted; nil: none was.
	completeFrom *string
}

// Schemas of the file from which on there is something to ask for.
const (
	firstWithActivity = 3 // windows, circuits, sessions, tools
	firstWithProfiles = 5 // before, requests held their texts by number
)

func newActivityReading(ctx context.Context, tx *sql.Tx, q Query) (*activityReading, error) {
	if err := storage.CheckSchema(ctx, tx, firstWithActivity); err != nil {
		return nil, err
	}
	meta, err := storage.ReadMeta(ctx, tx)
	if err != nil {
		return nil, err
	}
	r := &activityReading{query: q, meta: meta, from: math.MinInt64, to: math.MaxInt64}
	if !q.From.IsZero() {
		r.from = q.From.UnixNano()
	}
	if !q.To.IsZero() {
		r.to = q.To.UnixNano()
	}
	r.scope = Scope{RunID: q.Run, Categories: []string{}, Segments: []Segment{}}
	categories := q.Categories
	if len(categories) == 0 {
		categories = meta.Headline
	}
	for _, c := range categories {
		r.headline = append(r.headline, c.String())
	}
	pruned, err := storage.ReadPruned(ctx, tx, meta.SchemaVersion)
	if err != nil {
		return nil, err
	}
	for _, p := range pruned {
		if p.Relation == "request" {
			r.completeFrom = utc(p.CompleteFrom)
		}
	}
	if err := r.settle(ctx, tx); err != nil {
		return nil, err
	}
	return r, r.bound(ctx, tx)
}

// settle leaves out what has not settled, from the same second on as answers from
// buckets do. It checks the run, too.
func (r *activityReading) settle(ctx context.Context, tx *sql.Tx) error {
	all := r.query
	all.Width, all.Categories = 0, nil // spans of every category tell of sessions, tools and circuits
	buckets, err := newReading(ctx, tx, all, false)
	if err != nil {
		return err
	}
	r.scope.Open.Included, r.settled = all.IncludeOpen, math.MaxInt64
	if all.IncludeOpen || len(buckets.widths) == 0 {
		return nil
	}
	until, err := buckets.settledUntil(ctx, tx)
	if err != nil || until == buckets.to {
		return err
	}
	r.scope.Open, r.settled = buckets.scope.Open, saturated(until)
	r.to = min(r.to, r.settled)
	return nil
}

// bound says what interval the answer covers: the one asked for, or the data.
// It is not read beyond the data of the run.
func (r *activityReading) bound(ctx context.Context, tx *sql.Tx) error {
	var first, last, fileFirst, fileLast sql.NullInt64
	const query = `SELECT min(first_ns) FILTER (WHERE ?1 IS NULL OR run_id = ?1), max(last_ns) FILTER (WHERE ?1 IS NULL OR run_id = ?1),
		min(first_ns), max(last_ns) FROM run`
	if err := tx.QueryRowContext(ctx, query, r.query.Run).Scan(&first, &last, &fileFirst, &fileLast); err != nil {
		return fmt.Errorf("read extent of runs: %w", err)
	}
	r.firstSpan, r.lastSpan = r.from, r.to
	if !first.Valid || !last.Valid {
		return nil
	}
	from, to := first.Int64, last.Int64
	if r.from != math.MinInt64 {
		from = r.from
	}
	if !r.query.To.IsZero() {
		to = r.query.To.UnixNano()
	}
	if to = min(to, r.settled); from <= to {
		r.scope.FromUTC, r.scope.ToUTC = utcOf(&from), utcOf(&to)
	}
	r.firstSpan, r.lastSpan = max(r.from, first.Int64), min(r.to, addCapped(last.Int64, 1))
	r.byIndex = float64(r.lastSpan)-float64(r.firstSpan) < (float64(fileLast.Int64)-float64(fileFirst.Int64))/3
	return nil
}

// profile is the SQL of a text that many requests share, of the request r.
func (r *activityReading) profile(column string) string {
	if r.meta.SchemaVersion < firstWithProfiles {
		return "(SELECT d.value FROM dictionary AS d WHERE d.id = r." + column + ")"
	}
	return "(SELECT p." + column + " FROM request_profile AS p WHERE p.profile_id = r.profile_id)"
}

// inInterval is the SQL that bounds the start of the request r: with ?1 and ?2
// being firstSpan and lastSpan. For most of a file the index on the start would only be in
// the way of reading the table from one end to the other.
func (r *activityReading) inInterval() string {
	if r.byIndex {
		return "r.start_ns >= ?1 AND r.start_ns < ?2"
	}
	return "+r.start_ns >= ?1 AND +r.start_ns < ?2"
}

func utcText(unixNano int64) string { return *utc(time.Unix(0, unixNano).Unix()) }
