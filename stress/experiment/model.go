package experiment

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/stress"
)

var p99Ratio = histogram.Ratio{Num: 99, Den: 100}

// modelService is the service that the fake model's spans are of.
const modelService = "fake-llm"

// fakeEmbedding is what the fake model is asked for embeddings of.
const fakeEmbedding = "fake-embedding"

// model is what is called.
type model struct {
	url    *url.URL
	server *fakellm.Server // nil: somebody else's
	http   *http.Server
	preset string
}

// What the fake model adds to its preset.
const (
	tokenEvery = 500 * time.Microsecond
	retryAfter = 100 * time.Millisecond
	slowBy     = time.Second
	// Long for a client, and short enough that even a load of half a minute shows
	// what comes after it.
	hang = 3 * time.Second
	// fakeTimeout is the patience of its clients: longer than it takes for a slow
	// answer, and shorter than it hangs, or a timeout would be none.
	fakeTimeout = 2500 * time.Millisecond
)

// startModel starts the fake model, unless there is a target.
func startModel(c *Config, telemetry *telemetry) (*model, error) {
	if c.Target != nil {
		return &model{url: c.Target}, nil
	}
	m := &model{preset: c.Preset.Name, server: fakellm.New(fakellm.Config{
		Preset: c.Preset, Seed: c.Seed, SlowBy: slowBy, Hang: hang, TokenEvery: tokenEvery, RetryAfter: retryAfter, Experiment: c.Preset.Name,
	})}
	// Only a load has faults from its beginning.
	m.server.SetFaults(c.Mode == stress.ModeLoad)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m.url = &url.URL{Scheme: "http", Host: listener.Addr().String()}
	m.http = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: otelhttp.NewHandler(m.server, "",
		otelhttp.WithTracerProvider(telemetry.provider(modelService)), otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return m.server.Route(r) }))}
	go func() { _ = m.http.Serve(listener) }() // ends with close
	return m, nil
}

// hasFaults tells whether the preset of the fake model has any.
func (m *model) hasFaults() bool { return m.preset != fakellm.Presets[0].Name }

// outage returns what turns faults on and off; nil where nobody can, or there
// are none.
func (m *model) outage(telemetry *telemetry) func(bool) {
	if m.server == nil || !m.hasFaults() {
		return nil
	}
	var from time.Time
	return func(on bool) {
		m.server.SetFaults(on)
		if on {
			from = time.Now()
		} else {
			telemetry.injected(m.preset, from, time.Now())
		}
	}
}

func (m *model) truth() *fakellm.Truth {
	if m.server == nil {
		return nil
	}
	t := m.server.Truth()
	return &t
}

// close ends the fake model; requests that nobody waits for are cut.
func (m *model) close() {
	if m.http == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := m.http.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		_ = m.http.Close()
	}
}

// Check returns an error that names what cannot be done.
func (c *Config) Check() error {
	if c.Mode == stress.ModeFull && c.Profile.Duration < 3*time.Second {
		return fmt.Errorf("duration %v: in mode %s it must be at least 3s, a third for each phase", c.Profile.Duration, c.Mode)
	}
	return nil
}
