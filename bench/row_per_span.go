package main

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// rowPerSpan stores what collectors of traces in SQLite store (sqlite-otel,
// say): a row for every span, with the ids as hexadecimal text, what is not a
// column as JSON, resources and scopes once each, and an index by trace, to
// find a trace. Those have more: OTLP's longer JSON, a unique index over both
// ids, an index by resource.
type rowPerSpan struct {
	folder    string
	db        *sql.DB
	resources map[string]int64
	scopes    map[string]int64
}

const rowPerSpanSchema = `
CREATE TABLE resource (id INTEGER PRIMARY KEY, attributes TEXT NOT NULL);
CREATE TABLE scope (id INTEGER PRIMARY KEY, name TEXT, version TEXT);
CREATE TABLE span (
  trace_id TEXT NOT NULL, span_id TEXT NOT NULL, parent_span_id TEXT, trace_state TEXT, name TEXT, kind INTEGER,
  start_time_unix_nano INTEGER, end_time_unix_nano INTEGER, attributes TEXT, events TEXT,
  status_code INTEGER, status_message TEXT, resource_id INTEGER, scope_id INTEGER
);
CREATE INDEX span_trace ON span (trace_id);`

func newRowPerSpan(ctx context.Context, dir string) (subject, error) {
	folder, err := os.MkdirTemp(dir, "rows-")
	if err != nil {
		return nil, fmt.Errorf("create folder: %w", err)
	}
	r := &rowPerSpan{folder: folder, resources: map[string]int64{}, scopes: map[string]int64{}}
	if r.db, err = sql.Open("sqlite", r.path()); err != nil {
		return nil, fmt.Errorf("open peer: %w", err)
	}
	r.db.SetMaxOpenConns(1)
	for _, statement := range []string{"PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", rowPerSpanSchema} {
		if _, err := r.db.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("create peer: %w", err)
		}
	}
	return r, nil
}

func (r *rowPerSpan) path() string { return filepath.Join(r.folder, fileName) }

func (r *rowPerSpan) prepare(ptrace.Traces) error { return nil }

func (r *rowPerSpan) close() error { return errors.Join(r.db.Close(), os.RemoveAll(r.folder)) }

func (r *rowPerSpan) consume(ctx context.Context, traces ptrace.Traces) (err error) {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("store rows: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	insert, err := tx.PrepareContext(ctx, "INSERT INTO span VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
	if err != nil {
		return fmt.Errorf("store rows: %w", err)
	}
	defer insert.Close()
	for _, resource := range traces.ResourceSpans().All() {
		text := jsonOf(resource.Resource().Attributes())
		resourceID, err := known(ctx, tx, r.resources, text, "INSERT INTO resource (attributes) VALUES (?)", text)
		if err != nil {
			return err
		}
		for _, scope := range resource.ScopeSpans().All() {
			name, version := scope.Scope().Name(), scope.Scope().Version()
			scopeID, err := known(ctx, tx, r.scopes, name+" "+version, "INSERT INTO scope (name, version) VALUES (?, ?)", name, version)
			if err != nil {
				return err
			}
			for _, span := range scope.Spans().All() {
				if err := insertSpan(ctx, insert, span, resourceID, scopeID); err != nil {
					return err
				}
			}
		}
	}
	return tx.Commit()
}

// known returns the id of something that is stored once.
func known(ctx context.Context, tx *sql.Tx, ids map[string]int64, key, insert string, values ...any) (int64, error) {
	if id, ok := ids[key]; ok {
		return id, nil
	}
	result, err := tx.ExecContext(ctx, insert, values...)
	if err != nil {
		return 0, fmt.Errorf("store rows: %w", err)
	}
	id, err := result.LastInsertId()
	ids[key] = id
	return id, err
}

func insertSpan(ctx context.Context, insert *sql.Stmt, span ptrace.Span, resource, scope int64) error {
	trace, id, parent := span.TraceID(), span.SpanID(), span.ParentSpanID()
	var parentID, state, events, message any
	if !parent.IsEmpty() {
		parentID = hex.EncodeToString(parent[:])
	}
	if text := span.TraceState().AsRaw(); text != "" {
		state = text
	}
	if span.Events().Len() > 0 {
		var all []map[string]any
		for _, e := range span.Events().All() {
			all = append(all, map[string]any{"name": e.Name(), "time": e.Timestamp(), "attributes": e.Attributes().AsRaw()})
		}
		text, err := json.Marshal(all)
		if err != nil {
			return fmt.Errorf("store rows: %w", err)
		}
		events = string(text)
	}
	if text := span.Status().Message(); text != "" {
		message = text
	}
	_, err := insert.ExecContext(ctx, hex.EncodeToString(trace[:]), hex.EncodeToString(id[:]), parentID, state, span.Name(),
		int64(span.Kind()), int64(span.StartTimestamp()), int64(span.EndTimestamp()), jsonOf(span.Attributes()), events,
		int64(span.Status().Code()), message, resource, scope)
	if err != nil {
		return fmt.Errorf("store rows: %w", err)
	}
	return nil
}

func jsonOf(attributes pcommon.Map) string {
	text, err := json.Marshal(attributes.AsRaw())
	if err != nil {
		return "{}" // a number that JSON cannot hold
	}
	return string(text)
}
