package experiment

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/stress"
)

// TestAnInterruptEndsTheStartOfACollector, which is not left behind. Nobody sees
// its settings among its arguments, and it does not see the key of the target.
func TestAnInterruptEndsTheStartOfACollector(t *testing.T) {
	for name, exporter := range map[string]string{"its own settings": ownExporter, "settings of a user": "exporters: {spanbucket: {dedup: {secret: sk-canary-of-a-file}}}"} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			t.Setenv(fakeCollector, folder)
			t.Setenv("MY_KEY", "sk-canary")
			t.Setenv("MY_KEYS", "sk-canary2")
			program, err := os.Executable()
			require.NoError(t, err)
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			c := Config{
				Mode: stress.ModeQuick, Preset: fakellm.Presets[0], Collector: program, DB: filepath.Join(folder, "a.db"), Exporter: exporter, Key: "sk-canary",
			}
			if exporter == ownExporter {
				c.Exporter = ""
			}
			ended := make(chan error, 1)
			go func() {
				_, err := Run(ctx, c)
				ended <- err
			}()
			require.Eventually(t, func() bool {
				text, err := os.ReadFile(filepath.Join(folder, "4"))
				return err == nil && string(text) == "the end"
			}, time.Minute, 10*time.Millisecond)
			interrupt()
			err = <-ended
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorContains(t, err, "start the collector: ")
			for i, want := range []string{"--config", "env:SPANBUCKET_STRESS_EXPORTER", "--config", "yaml:" + settings} {
				got, err := os.ReadFile(filepath.Join(folder, string(rune('0'+i))))
				require.NoError(t, err)
				require.Equal(t, want, string(got))
			}
			environment, err := os.ReadFile(filepath.Join(folder, "environment"))
			require.NoError(t, err)
			require.Contains(t, string(environment), "SPANBUCKET_STRESS_EXPORTER="+exporter+"\n")
			require.Contains(t, string(environment), "MY_KEYS=sk-canary2\n")
			require.NotContains(t, string(environment), "MY_KEY=")
		})
	}
}

// TestAnInterruptEndsTheSearchForACollector that is said to run.
func TestAnInterruptEndsTheSearchForACollector(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	result, err := Run(ctx, Config{Mode: stress.ModeQuick, Preset: fakellm.Presets[0], OTLP: newSink(t).endpoint, Insecure: true})
	require.Nil(t, result)
	require.ErrorContains(t, err, "reach the collector: ")
	require.ErrorContains(t, err, "operation was canceled")
}

// TestWhoeverElseListensIsNotTheCollector: one that has ended is not ready.
func TestWhoeverElseListensIsNotTheCollector(t *testing.T) {
	foreign, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer foreign.Close()
	c := &collector{endpoint: foreign.Addr().String(), log: &tail{}, ended: make(chan struct{})}
	require.NoError(t, c.ready(t.Context()), "as long as it runs")
	c.err = errors.New("exit status 1")
	close(c.ended)
	_, _ = c.log.Write([]byte("listen tcp: bind: address already in use\n"))
	require.EqualError(t, c.ready(t.Context()), "it ended: exit status 1: listen tcp: bind: address already in use")
	require.NoError(t, foreign.Close())
	require.ErrorContains(t, c.ready(t.Context()), "it ended: ", "also where nobody listens")
}

// TestACollectorSaysWhyItEnded: its last error, with the cause, which stands on a
// line of its own.
func TestACollectorSaysWhyItEnded(t *testing.T) {
	for want, said := range map[string]string{
		"it said nothing": "\n",
		"panic: x":        "panic: x\n",
		"failed to get config: decoding failed due to the following error(s):\n\n'Config' has invalid keys: nonsense": "2026-01-30 warn\nError: failed to get config: decoding failed due to the following error(s):\n\n'Config' has invalid keys: nonsense\n",
	} {
		log := &tail{}
		_, _ = log.Write([]byte(said))
		require.Equal(t, want, log.String())
	}
}

// TestReadExporter: of a collector's configuration the exporter counts, but for
// the file that it writes.
func TestReadExporter(t *testing.T) {
	for name, c := range map[string]struct{ text, want, fault string }{
		"a whole configuration": {
			text: "receivers: {otlp: {}}\nexporters:\n  debug:\n  spanbucket:\n    path: mine.db\n    prices:\n      - {model: gpt-*, input: 0.0375, output: \"${env:PRICE}\"}\n" +
				"service: {pipelines: {}}\n",
			want: "exporters:\n    spanbucket:\n        prices:\n            - input: 0.0375\n              model: gpt-*\n              output: ${env:PRICE}\n",
		},
		"anchors": {
			text: "prices: &p [{model: m, input: 1}]\nexporters: {spanbucket: {prices: *p}}",
			want: "exporters:\n    spanbucket:\n        prices:\n            - input: 1\n              model: m\n",
		},
		"nothing but a path": {text: "exporters: {spanbucket: {path: x}}", want: "exporters:\n    spanbucket: {}\n"},
		"another exporter":   {text: "exporters: {debug: {}}", fault: "must be a configuration of a collector, with settings under exporters::spanbucket"},
		"the settings alone": {text: "prices: []", fault: "must be a configuration of a collector, with settings under exporters::spanbucket"},
		"nothing":            {text: "", fault: "must be a configuration of a collector, with settings under exporters::spanbucket"},
		"no YAML":            {text: "exporters: [", fault: "did not find expected node content"},
		"a list":             {text: "exporters: {spanbucket: []}", fault: "cannot unmarshal !!seq into map[string]interface {}"},
		"more than fits":     {text: "#" + strings.Repeat("x", maxExporterBytes), fault: "is longer than 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.yaml")
			require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
			got, err := ReadExporter(path)
			if c.fault != "" {
				require.ErrorContains(t, err, c.fault)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
	_, err := ReadExporter(filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
