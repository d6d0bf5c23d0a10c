package analysis_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/folding"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// storyStart is second 0 of what the tests of faults, circuits, sessions and
// tools tell.
var storyStart = time.Date(2026, 1, 30, 10, 0, 0, 0, time.UTC)

// later is a time at which all of it has settled.
var later = storyStart.Add(6 * time.Hour)

// story is what happened, told span by span.
type story struct {
	spans ptrace.Traces
	run   string
}

func newStory() *story { return &story{ptrace.NewTraces(), "run-1"} }

func storyTime(second float64) pcommon.Timestamp {
	return pcommon.Timestamp(storyStart.UnixNano() + int64(second*1e9))
}

// span tells of a span that starts at a second and lasts some. Attributes by
// name and value.
func (s *story) span(start, lasts float64, attributes ...any) ptrace.Span {
	resource := s.spans.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "app")
	if s.run != "" {
		resource.Resource().Attributes().PutStr("chaos.run.id", s.run)
	}
	span := resource.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	id := binary.BigEndian.AppendUint64(nil, uint64(s.spans.SpanCount()))
	span.SetTraceID(pcommon.TraceID(append(make([]byte, 8), id...)))
	span.SetSpanID(pcommon.SpanID(id))
	span.SetStartTimestamp(storyTime(start))
	span.SetEndTimestamp(storyTime(start + lasts))
	put(span, attributes)
	return span
}

func put(span ptrace.Span, attributes []any) {
	for i := 0; i+1 < len(attributes); i += 2 {
		if err := span.Attributes().PutEmpty(attributes[i].(string)).FromRaw(attributes[i+1]); err != nil {
			panic(err)
		}
	}
}

// chat tells of a chat.
func (s *story) chat(start, lasts float64, more ...any) ptrace.Span {
	return s.span(start, lasts, append([]any{"gen_ai.operation.name", "chat", "gen_ai.request.model", "m"}, more...)...)
}

// injector tells of a fault as its injector does.
func (s *story) injector(start, lasts float64, fault string, more ...any) ptrace.Span {
	return s.span(start, lasts, append([]any{"chaos.role", "injector", "chaos.fault.type", fault}, more...)...)
}

func (s *story) file(t *testing.T, change func(*folding.Settings)) string {
	t.Helper()
	return fileOf(t, change, s.spans)
}

func asItIs(*folding.Settings) {}

// fileOf writes batches as the exporter does.
func fileOf(t testing.TB, change func(*folding.Settings), batches ...ptrace.Traces) string {
	t.Helper()
	settings := folding.Default()
	settings.Storage.Path = filepath.Join(t.TempDir(), "file.db")
	settings.Storage.Synchronous = storage.SynchronousNormal
	settings.Storage.WriterVersion = "v0.0.0-test"
	now := func() time.Time { return storyStart.Add(time.Hour) }
	settings.Storage.Now = now
	change(&settings)
	complete, err := settings.Complete()
	require.NoError(t, err)
	store, err := storage.Open(context.Background(), complete.Storage)
	require.NoError(t, err)
	folder := folding.New(store, folding.Options{Settings: complete, Now: now})
	for _, batch := range batches {
		require.NoError(t, folder.Write(context.Background(), batch))
	}
	require.NoError(t, store.Close())
	return complete.Storage.Path
}

// view reads the rows of a query, by column.
func view(t *testing.T, path, query string, args ...any) (all []map[string]any) {
	t.Helper()
	r, err := storage.OpenReader(context.Background(), path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	require.NoError(t, r.View(context.Background(), func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(context.Background(), query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		for rows.Next() {
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				return err
			}
			one := map[string]any{}
			for i, c := range columns {
				one[c] = values[i]
			}
			all = append(all, one)
		}
		return rows.Err()
	}))
	return all
}
