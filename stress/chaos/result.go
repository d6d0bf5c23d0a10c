package chaos

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Result is how a case ended.
type Result struct {
	Name       string  `json:"name"`
	Passed     bool    `json:"passed"`
	Expected   string  `json:"expected"` // the rule
	Actual     string  `json:"actual"`   // what was seen
	DurationMS float64 `json:"duration_ms"`
	Error      string  `json:"error,omitempty"` // why nothing was seen
}

// Skip is a case that did not run.
type Skip struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Skips are the cases that a list of results lacks, with the reason: ctx ended,
// or the configuration does not allow them.
func (c *Config) Skips(results []Result) []Skip {
	skips := []Skip{}
	for _, test := range Cases {
		switch {
		case slices.ContainsFunc(results, func(r Result) bool { return r.Name == test.Name }):
		case test.needsOutage && c.Outage == nil:
			skips = append(skips, Skip{test.Name, c.NoOutage})
		default:
			skips = append(skips, Skip{test.Name, "the run ended before"})
		}
	}
	return skips
}

// Config says what is tested.
type Config struct {
	// Target is the API's base, without its /v1.
	Target string
	// Model that is asked for; empty: fake-small.
	Model string
	// Key is sent as a bearer token, and told to nobody; empty: none is.
	Key string
	// Tracing is where spans go.
	Tracing trace.TracerProvider
	// Timeout of one request; 0: ten seconds.
	Timeout time.Duration
	// Outage turns faults on and off; nil: nobody can, for the reason NoOutage, and
	// the cases that need it are left out.
	Outage   func(on bool)
	NoOutage string
	// RapidRate and RapidLength are those of rapid_fire; 0: 1,000 requests a
	// second for five seconds.
	RapidRate   int
	RapidLength time.Duration
	// Recovery is how long verify_recovery waits at most; 0: a minute.
	Recovery time.Duration
}

// Suite is the name of the suite that all cases belong to.
const Suite = "chaos"

// Run runs every case that the configuration allows, one after another, until
// ctx ends, and calls each with the results as they come.
func Run(ctx context.Context, c Config, each func(Result)) []Result {
	p := newProbe(c)
	defer p.transport.CloseIdleConnections()
	tracer := p.config.Tracing.Tracer("github.com/spanbucket/spanbucketexporter/stress/chaos")
	var all []Result
	for _, test := range Cases {
		if ctx.Err() != nil {
			break
		}
		if test.needsOutage && c.Outage == nil {
			continue
		}
		result := p.run(ctx, tracer, &test)
		if ctx.Err() != nil {
			break // what an interrupt broke off has not failed
		}
		all = append(all, result)
		each(result)
	}
	return all
}

// run runs one case, and tells of it.
func (p *probe) run(ctx context.Context, tracer trace.Tracer, test *Case) Result {
	start := time.Now()
	ctx, span := tracer.Start(ctx, "test "+test.Name, trace.WithTimestamp(start))
	seen := test.run(ctx, p)
	took := time.Since(start)
	result := Result{Name: test.Name, Passed: seen.passed, Expected: test.Expected, Actual: seen.actual, DurationMS: float64(took) / 1e6}
	if seen.err != nil {
		result.Error = seen.err.Error()
	}
	status := "pass"
	if ctx.Err() != nil {
		span.End(trace.WithTimestamp(start.Add(took)))
		return result
	}
	if !result.Passed {
		status = "fail"
		span.SetStatus(codes.Error, "")
	}
	span.SetAttributes(attribute.String("test.suite.name", Suite), attribute.String("test.case.name", test.Name),
		attribute.String("test.case.result.status", status), attribute.String("test.case.expected", test.Expected),
		attribute.String("test.case.actual", result.Actual))
	span.End(trace.WithTimestamp(start.Add(took)))
	return result
}
