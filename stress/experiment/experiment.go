package experiment

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/stress"
	"github.com/spanbucket/spanbucketexporter/stress/chaos"
)

// Config says what is done.
type Config struct {
	Mode    stress.Mode
	Profile stress.Profile
	// Rate of an open load, in calls a second; 0: the load is closed.
	Rate  float64
	Think float64 // 1 is natural
	// Target is an API of OpenAI's dialect, without its /v1; nil: a fake model on
	// loopback.
	Target *url.URL
	Model  string // that a target is asked for; empty: those of the fake model
	// EmbeddingModel is what a target is asked for embeddings of; empty: it is
	// not. The fake model always is.
	EmbeddingModel string
	// Key is sent to a target as a bearer token, and told to nobody; empty: none.
	Key    string
	Preset fakellm.Preset
	// OTLP is the endpoint of a collector, host:port of OTLP/gRPC; empty: one is
	// started.
	OTLP string
	// Insecure leaves out TLS towards OTLP.
	Insecure bool
	// Collector is the program that is started; DB the file that it writes.
	Collector, DB string
	// Exporter is a configuration of a collector, as YAML, of which the exporter
	// spanbucket counts, but for its path; see ReadExporter. Empty: prices of the
	// fake model and two objectives.
	Exporter    string
	RunID, Name string
	Seed        uint64
	// Progress is called every second; nil: nobody looks.
	Progress func(Progress)
	// Tested is called with the result of each chaos test; nil: nobody looks.
	Tested func(chaos.Result)
}

// Progress is how far it has come.
type Progress struct {
	Phase   string // of the faults: baseline, fault, recovery; empty: none
	Elapsed time.Duration
	Users   int64 // that are there; of an open load, calls under way
	Counts  stress.Counts
	P99     *time.Duration // nil: nothing was answered yet
}

// Result is what came of it.
type Result struct {
	RunID string
	// Began and Ended bound the load.
	Began, Ended time.Time
	Load         *stress.Tally // nil: there was none
	Chaos        []chaos.Result
	Skipped      []chaos.Skip   // of the chaos tests
	Truth        *fakellm.Truth // nil: the target was no fake model
	Interrupted  bool
}

// Run does it. When ctx ends the load ends early, and what was measured until
// then is kept. So it is where spans cannot be delivered any more; then there is
// an error beside the result. The result is nil where there was no load.
func Run(ctx context.Context, c Config) (result *Result, err error) {
	// Telemetry outlives the interrupt that ends the load.
	background := context.WithoutCancel(ctx)
	collector, err := startCollector(ctx, &c)
	switch {
	case err != nil && c.OTLP != "":
		return nil, fmt.Errorf("reach the collector: %w", err)
	case err != nil:
		return nil, fmt.Errorf("start the collector: %w", err)
	}
	defer func() { err = errors.Join(err, collector.stop()) }()
	telemetry, err := newTelemetry(background, &c, collector.endpoint)
	if err != nil {
		return nil, fmt.Errorf("set up telemetry: %w", err)
	}
	defer telemetry.watch(collector)()
	defer func() { err = errors.Join(err, telemetry.close(background)) }()
	model, err := startModel(&c, telemetry)
	if err != nil {
		return nil, fmt.Errorf("start the fake model: %w", err)
	}
	defer model.close()
	result = &Result{RunID: c.RunID}
	measured, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(telemetry.lost, stop)()
	if err := c.load(measured, model, telemetry, result); err != nil {
		return nil, err
	}
	if c.Mode == stress.ModeChaos || c.Mode == stress.ModeFull {
		c.test(measured, model, telemetry, result)
	}
	result.Interrupted = ctx.Err() != nil
	result.Truth = model.truth()
	return result, nil
}

// clientService is the service that the spans of the clients are of.
const clientService = "stress-clients"

// load runs the load of the mode.
func (c *Config) load(ctx context.Context, model *model, telemetry *telemetry, result *Result) error {
	config := stress.Config{
		Target: model.url, Tracing: telemetry.provider(clientService), Profile: c.Profile, Rate: c.Rate, Think: c.Think, Seed: c.Seed,
	}
	if c.Model != "" {
		config.Models = []string{c.Model}
	}
	if config.EmbeddingModel, config.Key = c.EmbeddingModel, c.Key; c.Target == nil {
		config.EmbeddingModel, config.Timeout = fakeEmbedding, fakeTimeout
	}
	switch c.Mode {
	case stress.ModeChaos:
		return nil
	case stress.ModeQuick:
		config.Profile = stress.Profile{Users: 1, SpawnRate: 1}
		config.MaxRequests, config.Think, config.Rate = quickRequests, 0, 0
	}
	load, err := stress.NewLoad(config)
	if err != nil {
		return err
	}
	result.Load, result.Began = load.Tally(), time.Now()
	phases := c.newPhases(model, telemetry, result.Began)
	stopWatching := c.watch(load, phases, result.Began)
	load.Run(ctx)
	result.Ended = time.Now()
	stopWatching()
	phases.end()
	c.ended(telemetry, result)
	return nil
}

// quickRequests are what tells whether anything works.
const quickRequests = 3

// test runs the chaos tests.
func (c *Config) test(ctx context.Context, model *model, telemetry *telemetry, result *Result) {
	tested := c.Tested
	if tested == nil {
		tested = func(chaos.Result) {}
	}
	config := chaos.Config{
		Target: model.url.String(), Model: c.Model, Key: c.Key, Tracing: telemetry.provider("chaos-tests"), Outage: model.outage(telemetry),
		NoOutage: "it needs the fake model with a preset that has faults",
	}
	if c.Mode == stress.ModeFull { // the tests are not to be most of a short run
		config.RapidLength = min(c.Profile.Duration/30, 5*time.Second)
	}
	result.Chaos = chaos.Run(ctx, config, tested)
	result.Skipped = config.Skips(result.Chaos)
}
