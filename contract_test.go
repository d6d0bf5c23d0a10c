package spanbucketexporter

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver"

	"github.com/spanbucket/spanbucketexporter/internal/metadata"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// faultyStore asks a consumer, which may refuse, before each write.
type faultyStore struct {
	store
	decide   *atomic.Pointer[consumer.Traces]
	accepted *atomic.Int64
}

func (s *faultyStore) Write(ctx context.Context, b storage.Batch) error {
	if err := (*s.decide.Load()).ConsumeTraces(ctx, ptrace.NewTraces()); err != nil {
		return err
	}
	if err := s.store.Write(ctx, b); err != nil {
		return err
	}
	s.accepted.Add(b.Delta.Received())
	return nil
}

// TestDeliveryContract runs the collector's matrix of always fine, random
// retryable and random permanent errors against the seam to the storage, and
// compares what was accepted with the ledger of the file.
func TestDeliveryContract(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	config := testConfig(path)
	config.Retry.Enabled = true
	config.Retry.InitialInterval = time.Millisecond
	config.Retry.MaxInterval = time.Millisecond
	config.Retry.MaxElapsedTime = 0

	var decide atomic.Pointer[consumer.Traces]
	var accepted atomic.Int64
	exporters := exporter.NewFactory(metadata.Type, createDefaultConfig, exporter.WithTraces(
		func(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Traces, error) {
			e := newTracesExporter(cfg.(*Config), set)
			open := e.open
			e.open = func(ctx context.Context, o storage.Options) (store, error) {
				s, err := open(ctx, o)
				return &faultyStore{s, &decide, &accepted}, err
			}
			return e.traces(ctx)
		}, component.StabilityLevelAlpha))
	receivers := receiver.NewFactory(metadata.Type, func() component.Config { return &struct{}{} }, receiver.WithTraces(
		func(_ context.Context, _ receiver.Settings, _ component.Config, next consumer.Traces) (receiver.Traces, error) {
			decide.Store(&next)
			return nopComponent{}, nil
		}, component.StabilityLevelAlpha))

	exportertest.CheckConsumeContract(exportertest.CheckConsumeContractParams{
		T:                    t,
		NumberOfTestElements: 100,
		Signal:               pipeline.SignalTraces,
		ExporterFactory:      exporters,
		ExporterConfig:       config,
		ReceiverFactory:      receivers,
	})

	// The spans of the contract have neither times nor ids: every accepted one
	// must be counted under its reason, exactly once.
	ledger := query(t, openReader(t, path), "SELECT reason, spans FROM ledger ORDER BY reason")
	require.Positive(t, accepted.Load())
	require.Equal(t, []row{
		{"reason": "no_start_time", "spans": accepted.Load()},
		{"reason": "received", "spans": accepted.Load()},
	}, ledger)
}

type nopComponent struct {
	component.StartFunc
	component.ShutdownFunc
}
