package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// reload forgets what the writer remembers and reads from the file what it
// must always know.
func (w *writer) reload(ctx context.Context) error {
	w.live = newLive()
	w.registry = aggregator.NewRegistry(w.options.Limits)
	w.seen = map[aggregator.Category]bool{}
	w.unsaved = map[aggregator.SeriesID]aggregator.NamedSeries{}
	w.requests.forget()
	w.profiles = newProfiles()
	w.strata = newStrata()
	w.knownFacts = map[factsOfRun]bool{}
	w.pinned = map[string]bool{}
	w.newest = map[aggregator.SeriesID]int64{}
	for _, step := range []func(context.Context) error{
		w.loadVersion, w.loadNextIDs, w.loadRuns, w.loadCategories, w.loadSeries,
		w.loadBasis, w.loadFingerprints, w.loadDue, w.loadPruned, w.loadPruneRequest, w.loadReach,
		w.loadObjectives,
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("reload: %w", err)
		}
	}
	return nil
}

func (w *writer) loadVersion(ctx context.Context) error {
	var text string
	err := w.conn.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'version'").Scan(&text)
	if err != nil {
		return fmt.Errorf("meta version: %w", err)
	}
	if w.version, err = strconv.ParseInt(text, 10, 64); err != nil {
		return fmt.Errorf("meta version: %w", err)
	}
	return nil
}

func (w *writer) loadPruned(ctx context.Context) error { return w.pruner.load(ctx, w.conn) }

func (w *writer) loadNextIDs(ctx context.Context) error {
	for t, query := range map[*bucketTable]string{
		headlineTable: "SELECT coalesce(max(id), 0) FROM headline_bucket",
		seriesTable:   "SELECT coalesce(max(id), 0) FROM series_bucket",
	} {
		var id int64
		if err := w.conn.QueryRowContext(ctx, query).Scan(&id); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		w.live.nextID[t] = id
	}
	return nil
}

func (w *writer) loadRuns(ctx context.Context) error {
	return eachRow(ctx, w.conn, "SELECT run_id, pinned FROM run", func(rows *sql.Rows) error {
		var run string
		var pinned bool
		if err := rows.Scan(&run, &pinned); err != nil {
			return err
		}
		w.registry.AddRun(run)
		if pinned {
			w.pinned[run] = true
		}
		return nil
	})
}

func (w *writer) loadCategories(ctx context.Context) error {
	return eachCategory(ctx, w.conn, func(c aggregator.Category) { w.seen[c] = true })
}

// eachCategory calls see for every category that the file has spans of.
func eachCategory(ctx context.Context, q Querier, see func(aggregator.Category)) error {
	return eachRow(ctx, q, "SELECT DISTINCT category FROM run_category", func(rows *sql.Rows) error {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		category, ok := aggregator.ParseCategory(name)
		if !ok {
			return fmt.Errorf("run_category: unknown category %q", name)
		}
		see(category)
		return nil
	})
}

func (w *writer) loadSeries(ctx context.Context) error {
	err := eachSeries(ctx, w.conn, func(s aggregator.NamedSeries) error {
		w.registry.AddSeries(s)
		return nil
	})
	if err != nil {
		return err
	}
	return eachRow(ctx, w.conn, "SELECT series_id, newest_s FROM series", func(rows *sql.Rows) error {
		var id, newest int64
		err := rows.Scan(&id, &newest)
		w.newest[aggregator.SeriesID(id)] = newest
		return err
	})
}

// eachSeries calls see for every series of a file.
func eachSeries(ctx context.Context, q Querier, see func(aggregator.NamedSeries) error) error {
	const query = `SELECT series_id, run_id, service, operation, kind, category, provider, model, tool, agent, outcome,
		error_type, fault, dimensions FROM series`
	return eachRow(ctx, q, query, func(rows *sql.Rows) error {
		var s aggregator.NamedSeries
		var kind, category, outcome string
		if err := rows.Scan((*int64)(&s.ID), &s.Run, &s.Service, &s.Operation, &kind, &category, &s.Provider, &s.Model,
			&s.Tool, &s.Agent, &outcome, &s.ErrorType, &s.Fault, &s.Dimensions); err != nil {
			return err
		}
		var known [3]bool
		s.Kind, known[0] = aggregator.ParseKind(kind)
		s.Category, known[1] = aggregator.ParseCategory(category)
		s.Outcome, known[2] = aggregator.ParseOutcome(outcome)
		if known != [3]bool{true, true, true} {
			return fmt.Errorf("series %d: unknown kind %q, category %q or outcome %q", s.ID, kind, category, outcome)
		}
		if s.Dimensions == "{}" {
			s.Dimensions = ""
		}
		return see(s)
	})
}

// eachRow calls scan for every row of a query.
func eachRow(ctx context.Context, q Querier, query string, scan func(*sql.Rows) error, args ...any) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
