package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/spanbucket/spanbucketexporter/storage"
)

func (r *reading) readFile(ctx context.Context, tx *sql.Tx, answer *Overview) error {
	m := r.meta
	f := &answer.File
	*f = File{
		SchemaVersion: m.SchemaVersion, WriterID: m.WriterID, WriterVersion: m.WriterVersion, CreatedUTC: m.CreatedUTC,
		Commits: m.Version,
	}
	for _, c := range m.Headline {
		f.Headline = append(f.Headline, c.String())
	}
	var pages, pageBytes int64
	for query, into := range map[string][]any{
		"PRAGMA page_count":                           {&pages},
		"PRAGMA page_size":                            {&pageBytes},
		"SELECT count(*) FROM series":                 {&f.Series},
		"SELECT min(first_ns), max(last_ns) FROM run": {&f.FirstNS, &f.LastNS},
	} {
		if err := tx.QueryRowContext(ctx, query).Scan(into...); err != nil {
			return fmt.Errorf("read file: %w", err)
		}
	}
	f.Bytes = pages * pageBytes
	f.FirstUTC, f.LastUTC = utcOf(f.FirstNS), utcOf(f.LastNS)
	return nil
}

func utcOf(unixNano *int64) *string {
	if unixNano == nil {
		return nil
	}
	return utc(time.Unix(0, *unixNano).Unix())
}

func (r *reading) readRuns(ctx context.Context, tx *sql.Tx, answer *Overview) error {
	const query = `SELECT run_id, name, first_utc, last_utc, first_ns, last_ns, requests FROM runs
		WHERE ?1 IS NULL OR run_id = ?1 ORDER BY first_ns, run_id`
	rows, err := tx.QueryContext(ctx, query, r.query.Run)
	if err != nil {
		return fmt.Errorf("read runs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var v Run
		if err := rows.Scan(&v.RunID, &v.Name, &v.FirstUTC, &v.LastUTC, &v.FirstNS, &v.LastNS, &v.Requests); err != nil {
			return fmt.Errorf("read runs: %w", err)
		}
		answer.Runs = append(answer.Runs, v)
	}
	return rows.Err()
}

func readCounts(ctx context.Context, tx *sql.Tx, answer *Overview) error {
	for table, into := range map[string]*[]Count{"ledger": &answer.Ledger, "notes": &answer.Notes} {
		rows, err := tx.QueryContext(ctx, "SELECT reason, spans FROM "+table+" WHERE spans > 0")
		if err != nil {
			return fmt.Errorf("read %s: %w", table, err)
		}
		defer rows.Close()
		for rows.Next() {
			var c Count
			if err := rows.Scan(&c.Reason, &c.Spans); err != nil {
				return fmt.Errorf("read %s: %w", table, err)
			}
			*into = append(*into, c)
		}
		if err := rows.Err(); err != nil {
			return fmt.Errorf("read %s: %w", table, err)
		}
		slices.SortFunc(*into, compareCounts)
	}
	return nil
}

// compareCounts puts received first and folded second, then the most spans.
func compareCounts(a, b Count) int {
	first := func(c Count) int { return slices.Index([]string{"folded", "received"}, c.Reason) }
	return cmp.Or(cmp.Compare(first(b), first(a)), cmp.Compare(b.Spans, a.Spans), cmp.Compare(a.Reason, b.Reason))
}

func (r *reading) readWidths(ctx context.Context, tx *sql.Tx, answer *Overview) error {
	for _, w := range r.meta.Widths {
		s := WidthSummary{WidthS: w.Seconds, Detail: w.Detail.String()}
		if w.Retention > 0 {
			seconds := int64(w.Retention / time.Second)
			s.RetentionS = &seconds
		}
		const query = "SELECT count(*) FROM headline_bucket WHERE width_s = ?"
		if err := tx.QueryRowContext(ctx, query, w.Seconds).Scan(&s.Rows); err != nil {
			return fmt.Errorf("count buckets of %d s: %w", w.Seconds, err)
		}
		answer.Widths = append(answer.Widths, s)
	}
	return nil
}

// Extent is from when to when there are spans, in whole seconds: the earliest
// began in the second from Begin on, the latest ended at End or less than a second
// before. Both are the zero time where there is no span.
type Extent struct{ Begin, End time.Time }

// ReadExtent returns the extent of a run, or, for nil, of all that the file was
// told. It is what relative times count from.
func ReadExtent(ctx context.Context, q storage.Querier, run *string) (Extent, error) {
	var first, last sql.NullInt64
	const query = "SELECT min(first_ns), max(last_ns) FROM run WHERE ?1 IS NULL OR run_id = ?1"
	if err := q.QueryRowContext(ctx, query, run).Scan(&first, &last); err != nil {
		return Extent{}, fmt.Errorf("read extent of run: %w", err)
	}
	if !first.Valid || !last.Valid {
		return Extent{}, nil
	}
	const second = int64(time.Second)
	return Extent{
		Begin: time.Unix(0, first.Int64).UTC().Truncate(time.Second),
		End:   time.Unix(last.Int64/second, 0).UTC().Add(time.Duration((last.Int64%second+second-1)/second) * time.Second),
	}, nil
}
