package reliabilitytest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"

	spanbucketexporter "github.com/spanbucket/spanbucketexporter"
)

// settings are the configuration of an exporter as YAML would give them.
type settings map[string]any

func fileAt(path string) settings { return settings{"path": path} }

// with returns a copy with another key.
func (s settings) with(key string, value any) settings {
	s = maps.Clone(s)
	s[key] = value
	return s
}

// withoutDeduplication is what every control of redelivery runs with.
func (s settings) withoutDeduplication() settings {
	return s.with("dedup", map[string]any{"max_spans": 0})
}

// startExporter makes an exporter as a collector does, and starts it.
func startExporter(s settings, name string) (exporter.Traces, error) {
	factory := spanbucketexporter.NewFactory()
	config := factory.CreateDefaultConfig()
	if err := confmap.NewFromStringMap(s).Unmarshal(config); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if err := confmap.Validate(config); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	set := exportertest.NewNopSettings(factory.Type())
	set.ID = component.NewIDWithName(factory.Type(), name)
	e, err := factory.CreateTraces(context.Background(), set, config)
	if err != nil {
		return nil, err
	}
	return e, e.Start(context.Background(), componenttest.NewNopHost())
}

func mustStart(t *testing.T, s settings) exporter.Traces {
	t.Helper()
	e, err := startExporter(s, "")
	require.NoError(t, err)
	return e
}

func mustStop(t *testing.T, e exporter.Traces) {
	t.Helper()
	require.NoError(t, e.Shutdown(context.Background()))
}

// deliver sends spans until they are acknowledged, as a client does whose
// collector answers with errors that may be retried.
func deliver(e exporter.Traces, calls []call) error {
	const patience = 30 * time.Second
	for began := time.Now(); ; {
		err := e.ConsumeTraces(context.Background(), otlp(calls))
		if err == nil {
			return nil
		}
		if isPermanent(err) || time.Since(began) > patience {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// isPermanent tells whether the collector would drop the batch.
func isPermanent(err error) bool { return strings.Contains(err.Error(), "Permanent error") }

// pieces shuffles the spans of several batches and cuts them anew.
func pieces(r *rand.Rand, batches ...[]call) (cut [][]call) {
	var all []call
	for _, b := range batches {
		all = append(all, b...)
	}
	r.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	for len(all) > 0 {
		n := min(len(all), 1+r.IntN(1<<(3+r.IntN(11))))
		cut = append(cut, all[:n])
		all = all[n:]
	}
	return cut
}

// reference is the content of a file that got batches once, undisturbed.
func reference(t *testing.T, s *traffic, batches []int) content {
	t.Helper()
	config := fileAt(t.TempDir()+"/reference.db").with("synchronous", "normal")
	e := mustStart(t, config)
	for _, n := range batches {
		require.NoError(t, deliver(e, s.batch(n)))
	}
	mustStop(t, e)
	return contentOf(t, config["path"].(string))
}
