package storage

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// flush writes what the transaction changed.
func (w *writer) flush(ctx context.Context) error {
	for _, step := range []func(context.Context) error{w.flushRuns, w.flushFacts, w.flushSeries, w.flushStrata, w.flushRequests} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	// What these write is no text of a span, and fits: where it is refused, it
	// is for what the file holds already.
	for _, step := range []func(context.Context) error{w.flushBuckets, w.flushObjectives, w.flushFingerprints, w.flushLedger, w.flushReach, w.flushMeta} {
		if err := step(ctx); err != nil {
			return &fileError{err}
		}
	}
	return nil
}

func (w *writer) flushSeries(ctx context.Context) error {
	const insert = `INSERT INTO series (series_id, run_id, service, operation, kind, category, provider, model, tool,
		agent, outcome, error_type, fault, dimensions, newest_s, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	for _, s := range w.pending.series {
		dimensions := s.Dimensions
		if dimensions == "" {
			dimensions = "{}"
		}
		if err := w.exec(ctx, insert, int64(s.ID), s.Run, s.Service, s.Operation, s.Kind.String(),
			s.Category.String(), s.Provider, s.Model, s.Tool, s.Agent, s.Outcome.String(), s.ErrorType, s.Fault,
			dimensions, w.newest[s.ID], w.version); err != nil {
			return fmt.Errorf("write series: %w", err)
		}
		delete(w.pending.newest, s.ID)
	}
	for id, newest := range w.pending.newest {
		if err := w.exec(ctx, "UPDATE series SET newest_s = max(newest_s, ?2) WHERE series_id = ?1", int64(id), newest); err != nil {
			return fmt.Errorf("write series: %w", err)
		}
	}
	w.forgetUnsaved()
	return nil
}

func (w *writer) flushRuns(ctx context.Context) error {
	const upsertRun = `INSERT INTO run (run_id, name, pinned, first_ns, last_ns, version) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (run_id) DO UPDATE SET
			pinned = max(pinned, excluded.pinned),
			name = coalesce(min(name, excluded.name), name, excluded.name),
			first_ns = coalesce(min(first_ns, excluded.first_ns), excluded.first_ns),
			last_ns = coalesce(max(last_ns, excluded.last_ns), excluded.last_ns),
			version = excluded.version`
	const upsertCategory = `INSERT INTO run_category (run_id, category, spans) VALUES (?, ?, ?)
		ON CONFLICT (run_id, category) DO UPDATE SET spans = spans + excluded.spans`
	for _, r := range w.pending.runs {
		var name any
		configured := r.ID != "" && r.ID == w.options.RunID
		if configured && w.options.RunName != "" {
			name = w.options.RunName
		}
		if err := w.exec(ctx, upsertRun, r.ID, name, configured && w.options.RunPinned, r.FirstUnixNano, r.LastUnixNano, w.version); err != nil {
			return fmt.Errorf("write run: %w", err)
		}
		if configured && w.options.RunPinned {
			w.pinned[r.ID] = true
		}
		for c, spans := range r.Spans {
			if spans == 0 {
				continue
			}
			w.seen[aggregator.Category(c)] = true
			if err := w.exec(ctx, upsertCategory, r.ID, aggregator.Category(c).String(), spans); err != nil {
				return fmt.Errorf("write run_category: %w", err)
			}
		}
	}
	return nil
}

func (w *writer) flushBuckets(ctx context.Context) error {
	for _, r := range w.live.dirty {
		if err := w.statements[r.bucket.table].write(ctx, r, w.version); err != nil {
			return err
		}
		r.stored, r.dirty, r.changed = true, false, 0
	}
	w.live.dirty = w.live.dirty[:0]
	return nil
}

func (w *writer) flushLedger(ctx context.Context) error {
	const addLedger = `INSERT INTO ledger (reason, spans) VALUES (?, ?)
		ON CONFLICT (reason) DO UPDATE SET spans = spans + excluded.spans`
	// What became of a span can change: a dead letter is folded after all.
	const takeLedger = "UPDATE ledger SET spans = spans + ?2 WHERE reason = ?1"
	const addNote = `INSERT INTO notes (reason, spans) VALUES (?, ?)
		ON CONFLICT (reason) DO UPDATE SET spans = spans + excluded.spans`
	received := int64(0)
	for reason, spans := range w.pending.ledger {
		statement := addLedger
		if received += spans; spans == 0 {
			continue
		} else if spans < 0 {
			statement = takeLedger
		}
		if err := w.exec(ctx, statement, reason, spans); err != nil {
			return fmt.Errorf("write ledger: %w", err)
		}
	}
	if err := w.exec(ctx, addLedger, "received", received); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	for note, spans := range w.pending.notes {
		if err := w.exec(ctx, addNote, note, spans); err != nil {
			return fmt.Errorf("write notes: %w", err)
		}
	}
	return nil
}

func (w *writer) flushMeta(ctx context.Context) error {
	for _, row := range [][2]string{
		{"version", strconv.FormatInt(w.version, 10)},
		{"headline_category", headlineCategory(w.seen)},
	} {
		if err := w.exec(ctx, upsertMeta, row[0], row[1]); err != nil {
			return fmt.Errorf("write meta: %w", err)
		}
	}
	return nil
}

// headlineCategory names the categories whose spans are the requests of a file,
// separated by commas: the LLM ones, where the file has none server, else
// client.
func headlineCategory(seen map[aggregator.Category]bool) string {
	switch {
	case seen[aggregator.CategoryLLM] || seen[aggregator.CategoryEmbedding]:
		return strings.Join([]string{aggregator.CategoryLLM.String(), aggregator.CategoryEmbedding.String()}, ",")
	case seen[aggregator.CategoryServer]:
		return aggregator.CategoryServer.String()
	default:
		return aggregator.CategoryClient.String()
	}
}
