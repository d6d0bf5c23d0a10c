// Command traffic is for tests: it plays the users of a small company whose
// services call language models, and breaks the models' providers for a third of
// the time: baseline, fault, recovery. Unlike package stress it calls nobody: so
// it has what a fake model lacks (several services and providers, a database,
// evaluations, a coding agent and its dialect), and makes minutes of it at once.
// It sends the spans through the OpenTelemetry Go SDK over OTLP, waits for every
// acknowledgement, drops nothing, and says at the end how many spans of which
// category ended in which way, so that a test can compare.
//
// Spans carry the current gen_ai.* conventions, those of a coding agent its own
// dialect. Those that an injected fault touched are marked with
// chaos.fault.type and chaos.experiment.id, and a span of the injector says
// when the fault was on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are the flags.
type options struct {
	endpoint string
	protocol string
	duration time.Duration
	rate     float64
	seed     uint64
	wait     time.Duration
	runID    string
	asap     bool
	json     bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("traffic", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.endpoint, "endpoint", "127.0.0.1:4317", "`host:port` of the collector's OTLP receiver")
	flags.StringVar(&o.protocol, "protocol", "grpc", "grpc or http")
	flags.DurationVar(&o.duration, "duration", 30*time.Second, "how long new requests arrive; a third each of baseline, fault and recovery")
	flags.Float64Var(&o.rate, "rate", 40, "user requests per second; each makes about four spans")
	flags.Uint64Var(&o.seed, "seed", 1, "the same seed gives the same traffic")
	flags.DurationVar(&o.wait, "wait", 10*time.Second, "how long to wait for the endpoint to accept connections")
	flags.StringVar(&o.runID, "run", "company", "chaos.run.id of the spans, empty for none")
	flags.BoolVar(&o.asap, "asap", false, "send traffic of the last minutes as fast as it is acknowledged, instead of live")
	flags.BoolVar(&o.json, "json", false, "print what was sent as JSON")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var errs []error
	if flags.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q", flags.Arg(0)))
	}
	if o.protocol != "grpc" && o.protocol != "http" {
		errs = append(errs, fmt.Errorf("-protocol: must be grpc or http, got %q", o.protocol))
	}
	if o.duration <= 0 {
		errs = append(errs, fmt.Errorf("-duration: must be above 0, got %v", o.duration))
	}
	if !(o.rate > 0) || math.IsInf(o.rate, 0) {
		errs = append(errs, fmt.Errorf("-rate: must be above 0 and finite, got %v", o.rate))
	}
	return o, errors.Join(errs...)
}

// run is the program: 0 when every span was acknowledged, 1 when one was not,
// 2 for wrong flags.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "traffic:", err)
		return 2
	}
	sent, err := send(ctx, o, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "traffic:", err)
		return 1
	}
	if o.json {
		err = sent.writeJSON(stdout)
	} else {
		err = sent.writeText(stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "traffic:", err)
		return 1
	}
	return 0
}

// send plays the scenario against the endpoint.
func send(ctx context.Context, o options, progress io.Writer) (*tally, error) {
	if err := awaitEndpoint(ctx, o.endpoint, o.wait); err != nil {
		return nil, err
	}
	out, err := connect(ctx, o)
	if err != nil {
		return nil, err
	}
	begin, now := time.Now(), time.Now
	if o.asap {
		// Everything has ended already, the longest request included.
		begin = begin.Add(-o.duration - longestRequest)
		now = func() time.Time { return begin.Add(o.duration + 2*longestRequest) }
	}
	p := &player{
		generator: newGenerator(o.seed, schedule{begin: begin, length: o.duration}),
		rate:      o.rate,
		now:       now,
		emitter:   newEmitter(out, o.runID),
		progress:  progress,
	}
	err = p.play(ctx)
	// Also after an interruption: what has been started is finished.
	if closing := out.Shutdown(context.WithoutCancel(ctx)); err == nil {
		err = closing
	}
	return &p.emitter.sent, err
}
