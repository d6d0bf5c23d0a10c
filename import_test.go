package spanbucketexporter

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/folding"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/internal/spantest"
	"github.com/spanbucket/spanbucketexporter/recording"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// TestDefaultsAreShared: whoever imports without a configuration gets what the
// exporter has by default.
func TestDefaultsAreShared(t *testing.T) {
	want, got := folding.Default(), createDefaultConfig().(*Config).settings()
	require.Equal(t, "./spanbucket.db", got.Storage.Path)
	got.Storage.Path = ""
	require.Empty(t, got.Spans.Outcomes)
	got.Spans.Outcomes = nil
	require.Empty(t, got.Storage.FaultWindows)
	got.Storage.FaultWindows = nil
	require.Equal(t, want, got)
}

// TestFilesRememberTheirSettings: a file that a collector wrote says how, but
// for its secret.
func TestFilesRememberTheirSettings(t *testing.T) {
	config := peculiarConfig(filepath.Join(t.TempDir(), "spanbucket.db"))
	config.Dedup.Secret = "a secret of sixteen bytes"
	stopExporter(t, startExporter(t, config))
	want, err := config.settings().Complete()
	require.NoError(t, err)
	got, err := folding.OfFile(t.Context(), config.Path)
	require.NoError(t, err)
	require.Empty(t, got.Storage.DedupSecret)
	require.NotEmpty(t, want.Storage.DedupSecret)
	want.Storage.DedupSecret = ""
	require.Equal(t, want, got)
	for _, value := range column(t, openReader(t, config.Path), "SELECT value FROM meta") {
		require.NotContains(t, value, "a secret")
	}
}

// peculiarConfig is one that changes how spans are read and stored.
func peculiarConfig(path string) *Config {
	config := testConfig(path, 2*time.Second, 20*time.Second)
	config.Dimensions = []DimensionConfig{{Name: "user.tier", Default: "none", MaxValues: 5}, {Name: "telemetry.sdk.language", MaxValues: 9}}
	config.Outcomes = map[string]Outcome{"timeout": Outcome(aggregator.OutcomeCapacityError)}
	input := TokenPrice(2_500_000)
	config.Prices = []PriceConfig{{Model: "gpt-4o*", Input: &input, Output: &input}}
	config.Fields = map[string][]string{"agent": {"my.agent", "gen_ai.agent.name"}}
	config.SettleAfter, config.MaxSeries = 5*time.Minute, 5000
	config.Faults.Gap = time.Second
	config.Faults.Windows = []FaultWindowConfig{{
		Fault: "latency", Start: Instant(recordedAt.UnixNano()), End: Instant(recordedAt.Add(time.Minute).UnixNano()), Target: "shop",
	}}
	config.Run = RunConfig{ID: "recorded", Name: "Recorded"}
	latency := 1500 * time.Millisecond
	config.SLOs = []SLOConfig{
		{Name: "calls", Category: "llm", Latency: &latency, Objective: 990_000_000},
		{Name: "one tool", Category: "tool", Service: "shop", Operation: "execute_tool", Model: "m", Objective: 999_999_999},
	}
	return config
}

// recordedAt is when recordings begin: long ago, but little before the golden
// cases, lest these let retention take it.
var recordedAt = time.Date(2026, 1, 30, 10, 0, 0, 0, time.UTC)

// A recorder writes batches as the collector's file exporter does.
type recorder func(t *testing.T, batches []ptrace.Traces) []byte

var (
	asJSON  = (&ptrace.JSONMarshaler{}).MarshalTraces
	asProto = (&ptrace.ProtoMarshaler{}).MarshalTraces
)

func recordLines(t *testing.T, batches []ptrace.Traces) (file []byte) {
	for _, b := range batches {
		text, err := asJSON(b)
		require.NoError(t, err)
		file = append(append(file, text...), '\n')
	}
	return file
}

// recordPrefixed writes each message after its length, compressed where compress
// says so.
func recordPrefixed(marshal func(ptrace.Traces) ([]byte, error), compress func(*testing.T, []byte) []byte) recorder {
	return func(t *testing.T, batches []ptrace.Traces) (file []byte) {
		for _, b := range batches {
			data, err := marshal(b)
			require.NoError(t, err)
			data = compress(t, data)
			file = append(binary.BigEndian.AppendUint32(file, uint32(len(data))), data...)
		}
		return file
	}
}

func whole(r recorder, compress func(*testing.T, []byte) []byte) recorder {
	return func(t *testing.T, batches []ptrace.Traces) []byte { return compress(t, r(t, batches)) }
}

func plain(_ *testing.T, data []byte) []byte { return data }

func gzipped(t *testing.T, data []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func zstdCompressed(t *testing.T, data []byte) []byte {
	w, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	return w.EncodeAll(data, nil)
}

var recorders = map[string]recorder{
	"JSON lines":                 recordLines,
	"protobuf":                   recordPrefixed(asProto, plain),
	"JSON lines, gzip":           whole(recordLines, gzipped),
	"JSON lines, zstd":           whole(recordLines, zstdCompressed),
	"protobuf, zstd":             whole(recordPrefixed(asProto, plain), zstdCompressed),
	"messages of protobuf, zstd": recordPrefixed(asProto, zstdCompressed),
	"messages of JSON, zstd":     recordPrefixed(asJSON, zstdCompressed),
}

// recordedBatches are what an exporter got: random traffic and every golden
// case, in batches of any size, some of them twice. Spans of the first ones have
// ids.
func recordedBatches(t *testing.T, r *rand.Rand, spans int) (batches []ptrace.Traces, withIDs int) {
	g := spantest.New(r.Uint64(), spantest.Dense)
	for at := recordedAt; spans > 0; at = at.Add(time.Second) {
		n := min(spans, 1+r.IntN(300))
		spans -= n
		batches = append(batches, g.Batch(n, at, time.Second))
		if r.IntN(5) == 0 {
			batches = append(batches, batches[r.IntN(len(batches))])
		}
	}
	withIDs = len(batches)
	for _, c := range goldenCases(t) {
		batches = append(batches, c.batch(t))
	}
	return append(batches, ptrace.NewTraces()), withIDs
}

// importRecording imports recordings into a file with the settings of another
// one.
func importRecording(t *testing.T, like, path string, recordings ...[]byte) recording.Progress {
	t.Helper()
	settings, err := folding.OfFile(t.Context(), like)
	require.NoError(t, err)
	settings.Storage.Path = path
	store, err := storage.Open(t.Context(), settings.Storage)
	require.NoError(t, err)
	var files []recording.File
	for _, data := range recordings {
		files = append(files, recording.File{Name: "recording", Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(data)), nil
		}})
	}
	folder := folding.New(store, folding.Options{Settings: settings, Now: time.Now})
	done, err := recording.Import(t.Context(), files, folder, recording.Options{
		Workers: 4, OnProblem: func(p recording.Problem) { t.Error(p) },
	})
	require.NoError(t, err)
	require.NoError(t, store.Close())
	return done
}

// TestImportIsWhatTheExporterWrote: a recording of what an exporter got makes
// the same file, in whatever format, also when it is imported in parts, again
// and after a restart.
func TestImportIsWhatTheExporterWrote(t *testing.T) {
	r := seedtest.Rand(t)
	for name, config := range map[string]func(string) *Config{
		"defaults": func(path string) *Config { return testConfig(path) }, "peculiar": peculiarConfig,
	} {
		t.Run(name, func(t *testing.T) {
			written := config(filepath.Join(t.TempDir(), "written.db"))
			batches, withIDs := recordedBatches(t, r, 800)
			e := startExporter(t, written)
			spans := int64(0)
			for _, b := range batches {
				spans += int64(b.SpanCount())
				require.NoError(t, e.ConsumeTraces(t.Context(), b))
			}
			stopExporter(t, e)
			want := content(t, written.Path)
			for format, record := range recorders {
				t.Run(format, func(t *testing.T) {
					path := filepath.Join(t.TempDir(), "imported.db")
					cut := r.IntN(len(batches))
					done := importRecording(t, written.Path, path, record(t, batches[:cut]), record(t, batches[cut:]))
					require.Equal(t, spans, done.Spans)
					require.Equal(t, int64(len(batches)), done.Messages)
					requireSameTexts(t, want, content(t, path), format)
				})
			}
			// In parts, into one file; then all of it again.
			path := filepath.Join(t.TempDir(), "parts.db")
			half := len(batches) / 2
			importRecording(t, written.Path, path, recordLines(t, batches[:half]))
			importRecording(t, path, path, recordLines(t, batches[half:]))
			requireSameTexts(t, want, content(t, path), "in parts")
			importRecording(t, path, path, recordLines(t, batches[:withIDs]))
			again := content(t, path)
			requireSameTexts(t, without(want, "ledger"), without(again, "ledger"), "again")
			folded := column(t, openReader(t, path), "SELECT spans FROM ledger WHERE reason = 'folded'")
			require.Equal(t, column(t, openReader(t, written.Path), "SELECT spans FROM ledger WHERE reason = 'folded'"), folded)
			// A collector that opens it finds all of it there, however old it is.
			written.Path = path
			stopExporter(t, startExporter(t, written))
			requireSameTexts(t, again, content(t, path), "after a restart")
		})
	}
}

// interruptedFolder ends a context before some writes.
type interruptedFolder struct {
	*folding.Folder
	left   atomic.Int64
	cancel func()
}

func (f *interruptedFolder) Write(ctx context.Context, batch ptrace.Traces) error {
	if f.left.Add(-1) < 0 {
		f.cancel()
	}
	return f.Folder.Write(ctx, batch)
}

// TestImportGoesOnAfterAnInterruption: what was interrupted, once or often, is
// whole when it is imported to its end.
func TestImportGoesOnAfterAnInterruption(t *testing.T) {
	r := seedtest.Rand(t)
	g := spantest.New(r.Uint64(), spantest.Dense)
	var batches []ptrace.Traces
	for i := range 20 {
		batches = append(batches, g.Batch(400, recordedAt.Add(time.Duration(i)*time.Second), time.Second))
	}
	recorded := recordPrefixed(asProto, plain)(t, batches)
	settings := folding.Default()
	folder := t.TempDir()
	settings.Storage.Path = filepath.Join(folder, "whole.db")
	importAll := func(writes int64) error {
		store, err := storage.Open(t.Context(), settings.Storage)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		to := &interruptedFolder{Folder: folding.New(store, folding.Options{Settings: settings, Now: time.Now}), cancel: cancel}
		to.left.Store(writes)
		_, err = recording.Import(ctx, []recording.File{{Name: "recording", Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(recorded)), nil
		}}}, to, recording.Options{Workers: 2})
		require.NoError(t, store.Close())
		return err
	}
	require.NoError(t, importAll(1000))
	want := without(content(t, settings.Storage.Path), "ledger")
	settings.Storage.Path = filepath.Join(folder, "interrupted.db")
	for writes := range int64(4) {
		require.ErrorIs(t, importAll(writes), context.Canceled)
	}
	require.Less(t, ledger(t, settings.Storage.Path)["folded"], int64(8000))
	require.NoError(t, importAll(1000))
	requireSameTexts(t, want, without(content(t, settings.Storage.Path), "ledger"), "interrupted")
	require.Equal(t, int64(8000), ledger(t, settings.Storage.Path)["folded"])
}

// without leaves out the lines of a relation.
func without(lines []string, relation string) (rest []string) {
	for _, line := range lines {
		if len(line) <= len(relation) || line[:len(relation)+1] != relation+" " {
			rest = append(rest, line)
		}
	}
	return rest
}
