package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// TestSecondDeliveriesCountOnce kills the collector in the middle of the load,
// three times. Clients send again what was not acknowledged, as they do, and
// besides what was, in other batches.
func TestSecondDeliveriesCountOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spans.db")
	begin := time.Now().Add(-5 * time.Minute)
	var everything []sdktrace.ReadOnlySpan
	var all []sent
	for life := range uint64(3) {
		spans, expected := makeTraffic(10+life, begin, spansEach)
		everything, all = append(everything, spans...), append(all, expected...)
		collector := startCollector(t, path)
		open, refused := deliverUntilKilled(t, collector, spans)
		t.Logf("life %d: %d spans acknowledged, %d not", life+1, open, refused)
		require.Positive(t, open, "nothing was acknowledged before the kill")
		collector.kill()
	}
	collector := startCollector(t, path)
	exporter := connect(t, collector, "grpc")
	deliver(t, exporter, everything)
	slices.Reverse(everything)
	deliver(t, exporter, everything[:len(everything)/3])
	expectContent(t, path, all)
	ledger := readLedger(t, path)
	assert.EqualValues(t, len(all), ledger["folded"])
	assert.Equal(t, ledger["received"], ledger["folded"]+ledger["duplicate"], "%v", ledger)
	assert.GreaterOrEqual(t, ledger["duplicate"], int64(len(everything)/3))
	collector.stop(t)
	expectOnlyFile(t, path)
}

// deliverUntilKilled sends batches one after another and kills the collector
// after a third of them. It returns how many spans were acknowledged.
func deliverUntilKilled(t *testing.T, p *process, spans []sdktrace.ReadOnlySpan) (acknowledged, refused int) {
	exporter := connect(t, p, "grpc")
	batches := slices.Collect(slices.Chunk(spans, 1+len(spans)/64))
	var killing sync.WaitGroup
	for i, batch := range batches {
		if i == len(batches)/3 {
			killing.Go(p.kill)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if exporter.ExportSpans(ctx, batch) == nil {
			acknowledged += len(batch)
		} else {
			refused += len(batch)
		}
		cancel()
	}
	killing.Wait()
	return acknowledged, refused
}

// TestSecondCollectorIsRefused: another collector on the same file, and another
// exporter of the same collector, end with a reason that names who has it.
func TestSecondCollectorIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spans.db")
	first := startCollector(t, path)
	binary, err := buildCollector()
	require.NoError(t, err)
	ports := freePorts(t, 4)
	_, metricsPort, err := net.SplitHostPort(ports[3])
	require.NoError(t, err)
	second := exec.Command(binary, "--config", "config.yaml")
	second.Env = append(os.Environ(), "SPANBUCKET_PATH="+path, "SPANBUCKET_GRPC="+ports[0], "SPANBUCKET_HTTP="+ports[1],
		"SPANBUCKET_HEALTH="+ports[2], "SPANBUCKET_METRICS_PORT="+metricsPort)
	began := time.Now()
	output, err := second.CombinedOutput()
	took := time.Since(began)
	require.Error(t, err, "%s", output)
	require.Contains(t, string(output), "file is in use by another writer")
	require.Contains(t, string(output), path)
	require.Contains(t, string(output), fmt.Sprintf("process %d", first.command.Process.Pid))
	t.Logf("refused %v after the start of the process", took)

	spans, expected := makeTraffic(20, time.Now().Add(-5*time.Minute), spansEach)
	deliver(t, connect(t, first, "http"), spans)
	expectFile(t, path, expected)
}
