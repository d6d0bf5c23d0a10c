package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	_ "modernc.org/sqlite" // the driver for the check

	"github.com/spanbucket/spanbucketexporter"
)

// The two widths of the exporter's rows, in seconds, both with detail by
// series.
const narrowSeconds, wideSeconds = 10, 60

const fileName = "spanbucket.db"

func newExporter(ctx context.Context, dir string) (subject, error) {
	return newExporterOf(ctx, dir, bucketsOnly, narrowSeconds, wideSeconds)
}

// newKeeping returns a function that starts an exporter which keeps spans row
// by row.
func newKeeping(what kept) func(context.Context, string) (subject, error) {
	return func(ctx context.Context, dir string) (subject, error) {
		return newExporterOf(ctx, dir, what, narrowSeconds, wideSeconds)
	}
}

// kept says which spans are kept row by row, besides the buckets.
type kept struct {
	sessions bool
	requests float64 // share of the traces
	cause    bool    // of the others what failed, carries a fault or was slow
	repeats  bool    // a second delivery counts as well
}

var (
	bucketsOnly  = kept{}
	withSessions = kept{sessions: true}
	everyRequest = kept{sessions: true, requests: 1}
	fewRequests  = kept{requests: sampledRatio}
	fewAndCause  = kept{requests: sampledRatio, cause: true}
	withRepeats  = kept{repeats: true}
)

// newExporterOf starts an exporter on a new file in dir, with the given bucket
// widths, in seconds; without any, with the default ones.
func newExporterOf(ctx context.Context, dir string, what kept, widths ...int) (subject, error) {
	folder, err := os.MkdirTemp(dir, "file-")
	if err != nil {
		return nil, fmt.Errorf("create folder: %w", err)
	}
	factory := spanbucketexporter.NewFactory()
	config := factory.CreateDefaultConfig()
	if err := configure(config, exporterConfig(filepath.Join(folder, fileName), what, widths)); err != nil {
		return nil, fmt.Errorf("configure exporter: %w", err)
	}
	exporter, err := factory.CreateTraces(ctx, exportertest.NewNopSettings(factory.Type()), config)
	if err != nil {
		return nil, fmt.Errorf("create exporter: %w", err)
	}
	s, err := start(ctx, exporter)
	if err != nil {
		return nil, err
	}
	return &inFolder{subject: s, folder: folder}, nil
}

func exporterConfig(path string, what kept, widths []int) map[string]any {
	window := "24h"
	if what.repeats {
		window = "0s"
	}
	requests := map[string]any{"sampling_ratio": what.requests, "sessions": what.sessions}
	if !what.cause {
		requests["max_for_cause"] = 0
	}
	config := map[string]any{
		"dedup":    map[string]any{"window": window},
		"path":     path,
		"requests": requests,
	}
	if len(widths) > 0 {
		buckets := make([]any, len(widths))
		for i, w := range widths {
			buckets[i] = map[string]any{"width": fmt.Sprintf("%ds", w), "retention": "72h"}
		}
		config["buckets"] = buckets
	}
	return config
}

// inFolder is an exporter that owns a folder. It checks that the exporter did
// what its row says.
type inFolder struct {
	subject
	folder string
	sent   atomic.Int64 // spans
}

func (s *inFolder) consume(ctx context.Context, traces ptrace.Traces) error {
	s.sent.Add(int64(traces.SpanCount()))
	return s.subject.consume(ctx, traces)
}

func (s *inFolder) close() error {
	err := s.subject.close()
	if err == nil {
		err = s.check()
	}
	return errors.Join(err, os.RemoveAll(s.folder))
}

// check compares what was sent with what the file says was folded.
func (s *inFolder) check() error {
	db, err := sql.Open("sqlite", s.path())
	if err != nil {
		return fmt.Errorf("check file: %w", err)
	}
	defer db.Close()
	var folded int64
	if err := db.QueryRow("SELECT spans FROM ledger WHERE reason = 'folded'").Scan(&folded); err != nil {
		return fmt.Errorf("check file: read ledger: %w", err)
	}
	if sent := s.sent.Load(); folded != sent {
		return fmt.Errorf("check file: %d of %d spans folded", folded, sent)
	}
	return nil
}
