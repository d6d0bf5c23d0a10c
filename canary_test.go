package spanbucketexporter

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// marker stands where texts are stored, so that the search can be seen to find
// them.
const marker = "MARKER-2c91"

// found tells whether a text is in b, as it is, in another case, or in another
// writing.
func found(b []byte, text string) bool {
	lower := bytes.ToLower(b)
	wide := make([]byte, 0, 2*len(text))
	for _, unit := range utf16.Encode([]rune(strings.ToLower(text))) {
		wide = append(wide, byte(unit), byte(unit>>8))
	}
	if bytes.Contains(lower, []byte(strings.ToLower(text))) || bytes.Contains(lower, wide) ||
		bytes.Contains(lower, []byte(hex.EncodeToString([]byte(text)))) {
		return true
	}
	for before := range 3 {
		// The characters at the ends depend on what stands beside the text.
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + text))
		if bytes.Contains(lower, []byte(strings.ToLower(encoded[(before*4+2)/3:len(encoded)-1]))) {
			return true
		}
	}
	return false
}

func TestTheSearchFinds(t *testing.T) {
	for _, text := range []string{
		canary, "before " + canary + " after", strings.ToLower(canary), strings.ToUpper(canary),
		base64.StdEncoding.EncodeToString([]byte(canary)), base64.StdEncoding.EncodeToString([]byte("1" + canary + "1")),
		base64.StdEncoding.EncodeToString([]byte("12" + canary + "123")), hex.EncodeToString([]byte("12" + canary)),
		"C\x00A\x00N\x00A\x00R\x00Y\x00-\x007\x00f\x003\x00a\x00",
	} {
		require.True(t, found([]byte(text), canary), text)
	}
	require.False(t, found([]byte("CANARY-7f3b canary 7f3a"), canary))
}

// contentForms are the ways in which an attribute may hold a text.
var contentForms = []func(pcommon.Value){
	func(v pcommon.Value) { v.SetStr(canary) },
	func(v pcommon.Value) { v.SetStr("tell " + canary + " the news. ") },
	func(v pcommon.Value) { v.SetStr(`[{"role": "user", "content": "` + canary + `"}]`) },
	func(v pcommon.Value) { v.SetStr(`{"` + canary + `": 3, "input": 2, "total": "` + canary + `"}`) },
	func(v pcommon.Value) { v.SetStr(canary + strings.Repeat(" and so on", 40)) },
	func(v pcommon.Value) {
		v.SetStr("https://me:" + canary + "@example.com/" + canary + "/v1/chat/completions?key=" + canary + "#" + canary)
	},
	func(v pcommon.Value) { v.SetStr("/v1/messages?" + canary) },
	func(v pcommon.Value) { v.SetEmptySlice().AppendEmpty().SetStr(canary) },
	func(v pcommon.Value) { v.SetEmptyMap().PutStr("content", canary) },
	func(v pcommon.Value) { v.SetEmptyMap().PutStr(canary, "content") },
	func(v pcommon.Value) { v.SetEmptyBytes().FromRaw([]byte(canary)) },
}

// contentPlaces are where a span has texts besides its attributes.
var contentPlaces = []func(guest){
	func(g guest) { g.span.Status().SetMessage(canary) },
	func(g guest) {
		g.span.Status().SetCode(ptrace.StatusCodeError)
		g.span.Status().SetMessage("failed: " + canary)
	},
	func(g guest) { g.span.TraceState().FromRaw("vendor=" + canary) },
	func(g guest) { g.span.TraceState().FromRaw("ot=th:" + canary) },
	func(g guest) { g.span.Events().AppendEmpty().SetName(canary) },
	func(g guest) { g.span.Attributes().PutStr(canary, "a name") },
	func(g guest) { g.span.Links().AppendEmpty().TraceState().FromRaw(canary) },
	func(g guest) { g.scope.Scope().SetName(canary) },
	func(g guest) { g.scope.Scope().SetVersion(canary) },
	func(g guest) { g.scope.SetSchemaUrl(canary) },
	func(g guest) { g.resource.SetSchemaUrl(canary) },
}

// TestContentIsNotStored sends content in every attribute that is known to
// hold some, at every level and in every form, on golden spans of all kinds,
// and looks for it in everything that the exporter writes and our program
// prints.
func TestContentIsNotStored(t *testing.T) {
	path := filepath.Join(t.TempDir(), marker+".db")
	core, logged := observer.New(zapcore.DebugLevel)
	meters := componenttest.NewTelemetry()
	defer func() { require.NoError(t, meters.Shutdown(context.Background())) }()
	settings := exportertest.NewNopSettings(NewFactory().Type())
	settings.TelemetrySettings = meters.NewTelemetrySettings()
	settings.Logger = zap.New(core)
	config := testConfig(path)
	config.SLOs = []SLOConfig{{Name: "chat", Category: "llm", Objective: 990_000_000}}
	e, err := NewFactory().CreateTraces(t.Context(), settings, config)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	sendGoldens(t, e)
	sendContent(t, e)
	require.NoError(t, e.ConsumeTraces(t.Context(), chatSpan(map[string]any{
		"gen_ai.conversation.id": marker, "gen_ai.request.model": marker, "chaos.fault.type": marker, "chaos.run.id": marker,
	})))
	// Those that are refused: the error goes to the client, and into the log.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range goldenCases(t) {
		refused := e.ConsumeTraces(gone, c.batch(t))
		require.Error(t, refused)
		require.False(t, found([]byte(refused.Error()), canary), "the error that a client gets for %s", c.name)
	}

	requireNoCanary(t, path, "", "-wal", "-shm")
	requireSilentProgram(t, path)
	stopExporter(t, e)
	requireNoCanary(t, path, "")

	var log []byte
	for _, entry := range logged.AllUntimed() {
		log = fmt.Appendf(log, "%s %s %s %v\n", entry.Level, entry.LoggerName, entry.Message, entry.ContextMap())
	}
	require.True(t, found(log, marker), "the log names the file")
	require.False(t, found(log, canary), "the log")
	var metrics metricdata.ResourceMetrics
	require.NoError(t, meters.Reader.Collect(t.Context(), &metrics))
	told, err := json.Marshal(metrics)
	require.NoError(t, err)
	require.True(t, found(told, "exporter_spanbucket_spans"))
	require.False(t, found(told, canary), "metrics of the exporter")
}

// sendContent sends every name in every form at every level, and content in
// every other place, each on a golden span.
func sendContent(t *testing.T, e exporter.Traces) {
	t.Helper()
	r := seedtest.Rand(t)
	hosts, names := goldenHosts(t), contentNames(t)
	require.Greater(t, len(names), 250)
	batch, spans := ptrace.NewTraces(), uint32(0)
	add := func() guest {
		spans++
		return hosts[r.IntN(len(hosts))].addTo(batch, spans)
	}
	flush := func() {
		require.NoError(t, e.ConsumeTraces(t.Context(), batch))
		batch = ptrace.NewTraces()
	}
	for _, name := range names {
		for _, form := range contentForms {
			for _, chosen := range []int{0, 1, 2, 3 + r.IntN(2)} {
				g := add()
				levels := g.levels()
				form(levels[min(chosen, len(levels)-1)].PutEmpty(name))
			}
		}
		flush()
	}
	for _, place := range contentPlaces {
		for range 60 {
			place(add())
		}
		flush()
	}
	require.Greater(t, spans, uint32(10_000))
}

// requireNoCanary reads the file and those beside it as they are on disk.
func requireNoCanary(t *testing.T, path string, endings ...string) {
	t.Helper()
	anywhere := false
	for _, ending := range endings {
		b, err := os.ReadFile(path + ending)
		require.NoError(t, err)
		require.NotEmpty(t, b, ending)
		require.False(t, found(b, canary), "spanbucket.db%s", ending)
		anywhere = anywhere || found(b, marker)
	}
	require.True(t, anywhere, "what is stored can be found in the file or its log")
}

// requireSilentProgram asks every verb in every format.
func requireSilentProgram(t *testing.T, path string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "spanbucket")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/spanbucket")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // also under the race detector
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	const (
		categories = "llm,embedding,retrieval,tool,agent,workflow,fault,server,client,database,messaging,other"
		dimensions = "run_id,service,operation,kind,category,provider,model,tool,agent,outcome,error_type,fault"
	)
	for verb, says := range map[string]struct {
		shows bool // what is stored; the others have figures only, or nothing of the span that has the marker
		args  []string
	}{
		"stats":      {false, []string{"--category", categories}},
		"timeseries": {false, []string{"--width", "1h", "--category", categories}},
		"latency":    {true, []string{"--by", dimensions, "--category", categories}},
		"faults":     {true, []string{"--limit", "0"}},
		"errors":     {false, []string{"--category", categories}},
		"window":     {false, []string{"--from", "+0s", "--category", categories}},
		"bursts":     {false, []string{"--category", categories}},
		"anomalies":  {false, []string{"--category", categories}},
		"diagnose":   {false, []string{"--category", categories}},
		"requests":   {true, []string{"--limit", "10000", "--category", categories}},
		"slow":       {false, []string{"--limit", "10000", "--category", categories}},
		"usage":      {true, []string{"--by", dimensions, "--category", categories}},
		"circuits":   {false, []string{"--limit", "0"}},
		"sessions":   {true, []string{"--limit", "0"}},
		"tools":      {false, nil},
		"runs":       {true, nil},
		"compare":    {false, []string{"--baseline", "", "--candidate", "", "--by", "model,service,error_type", "--category", categories}},
		"check":      {false, []string{"--p99", "86400000", "--category", categories}},
		"slo":        {false, []string{"--category", categories}},
		"report":     {true, nil},
		"query":      {true, []string{"SELECT * FROM requests", "--limit", "0", "--timeout", "0"}},
		"schema":     {false, nil},
		"verify":     {false, nil},
	} {
		formats := []string{"text", "json", "csv"}
		if verb == "report" {
			formats = []string{"text", "json", "md", "html"}
		}
		for _, format := range formats {
			command := exec.CommandContext(t.Context(), program, append([]string{verb, "--db", path, "--format", format}, says.args...)...)
			var stdout, stderr bytes.Buffer
			command.Stdout, command.Stderr = &stdout, &stderr
			assert.NoError(t, command.Run(), "%s %s: %s", verb, format, &stderr)
			assert.NotEmpty(t, stdout.Bytes(), "%s %s", verb, format)
			assert.False(t, found(stdout.Bytes(), canary), "%s %s", verb, format)
			assert.False(t, found(stderr.Bytes(), canary), "%s %s on stderr", verb, format)
			if says.shows {
				assert.True(t, found(stdout.Bytes(), marker), "%s %s prints what is stored", verb, format)
			}
		}
	}
}
