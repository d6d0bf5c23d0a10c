package experiment

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanbucket/spanbucketexporter/stress"
)

// The loops of a load: users wait for answers, or calls begin when they are due.
const (
	loopClosed = "closed"
	loopOpen   = "open"
)

// settings are what a run really does, and nothing that it does not heed.
// Durations are in seconds, rates per second.
func (c *Config) settings() map[string]any {
	s := map[string]any{"mode": c.Mode, "seed": c.Seed}
	switch {
	case c.Mode == stress.ModeQuick:
		s["loop"], s["users"], s["requests"] = loopClosed, 1, quickRequests
	case c.Mode.HasProfile():
		s["profile"], s["duration_s"], s["users"] = c.Profile.Name, c.Profile.Duration.Seconds(), c.Profile.Users
		if c.Rate > 0 {
			s["loop"], s["rate"] = loopOpen, c.Rate
		} else {
			s["loop"], s["spawn_rate"], s["think"] = loopClosed, c.Profile.SpawnRate, c.Think
		}
	}
	if c.Target == nil {
		s["preset"] = c.Preset.Name
	} else {
		// What may be secret stays out, whoever made the URL.
		s["target"] = (&url.URL{Scheme: c.Target.Scheme, Host: c.Target.Host, Path: c.Target.Path}).String()
	}
	if c.Model != "" {
		s["model"] = c.Model
	}
	if c.EmbeddingModel != "" && c.Target != nil && s["loop"] == loopClosed {
		s["embedding_model"] = c.EmbeddingModel
	}
	return s
}

// text writes settings as JSON, with their keys in order.
func text(settings map[string]any) string {
	written, err := json.Marshal(settings)
	if err != nil {
		panic(err) // numbers and texts
	}
	return string(written)
}

// describe says on every span what run it belongs to.
func describe(c *Config) []attribute.KeyValue {
	all := []attribute.KeyValue{
		attribute.String("chaos.run.id", c.RunID), attribute.String("chaos.run.name", c.Name), attribute.String("chaos.mode", string(c.Mode)),
		attribute.String("chaos.config", text(c.settings())),
	}
	if c.Mode.HasProfile() {
		all = append(all, attribute.String("chaos.profile", c.Profile.Name))
	}
	if c.Target == nil {
		all = append(all, attribute.String("chaos.preset", c.Preset.Name))
	}
	return all
}

// started are the settings of an open load that has ended, with what became of
// its starts. Of several texts about a run a file keeps the lowest: this one, as
// its first key comes before all others.
func (c *Config) started(counts *stress.Counts) map[string]any {
	s := c.settings()
	maps.Copy(s, map[string]any{"delayed_starts": counts.Delayed, "dropped_starts": counts.Dropped})
	return s
}

// ended tells of an open load how many calls began late, and how many never:
// nothing else in the file says so, and without it the latency flatters. It does
// so on a span of its own, as long as the load.
func (c *Config) ended(t *telemetry, r *Result) {
	if c.Rate == 0 || !c.Mode.HasProfile() {
		return
	}
	counts := r.Load.Counts()
	_, span := t.provider(clientService).Tracer(scope).Start(context.Background(), "load", trace.WithTimestamp(r.Began),
		trace.WithAttributes(attribute.String("chaos.config", text(c.started(&counts)))))
	span.End(trace.WithTimestamp(r.Ended))
}
