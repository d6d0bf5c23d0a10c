package experiment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// collectorName is the program that is started.
const collectorName = "otelcol-spanbucket"

// FindCollector returns the path of the collector: the one that is named, or
// beside this program, or in the path.
func FindCollector(named string) (string, error) {
	if named != "" {
		return exec.LookPath(named)
	}
	if own, err := os.Executable(); err == nil {
		if own, err = filepath.EvalSymlinks(own); err == nil {
			if path, err := exec.LookPath(filepath.Join(filepath.Dir(own), collectorName)); err == nil {
				return path, nil
			}
		}
	}
	path, err := exec.LookPath(collectorName)
	if err != nil {
		return "", fmt.Errorf("%s is neither beside this program nor in the path: build it, or name an endpoint of OTLP/gRPC", collectorName)
	}
	return path, nil
}

// settings of the collector; the values, and the exporter's, are in its environment.
const settings = `
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: ${env:SPANBUCKET_STRESS_ENDPOINT}
        max_recv_msg_size_mib: 64
exporters:
  spanbucket:
    path: ${env:SPANBUCKET_STRESS_DB}
service:
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [spanbucket]
  telemetry:
    logs: {level: warn}
    metrics: {level: none}
`

// collector is one that we use, and perhaps started.
type collector struct {
	endpoint string
	process  *exec.Cmd     // nil: it is not ours
	log      *tail         // what ours says
	ended    chan struct{} // closed when the process has ended; nil: nobody knows
	err      error         // how; valid then
}

func (c *collector) hasEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// startCollector starts a collector, unless there is an endpoint, where one must
// listen. It gives up when ctx ends.
func startCollector(ctx context.Context, c *Config) (*collector, error) {
	if c.OTLP != "" {
		conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", c.OTLP)
		if err != nil {
			return nil, err
		}
		return &collector{endpoint: c.OTLP}, conn.Close()
	}
	db, err := filepath.Abs(c.DB)
	if err != nil {
		return nil, err
	}
	// Between looking for a port and listening on it somebody else may take it.
	for attempt := 1; ; attempt++ {
		endpoint, err := freeEndpoint()
		if err != nil {
			return nil, err
		}
		started, err := launch(ctx, c, endpoint, db)
		if err == nil || attempt == 3 || !strings.Contains(err.Error(), "address already in use") {
			return started, err
		}
	}
}

// launch starts a collector that listens on an endpoint and writes a file.
func launch(ctx context.Context, c *Config, endpoint, db string) (*collector, error) {
	exporter := c.Exporter
	if exporter == "" {
		exporter = ownExporter
	}
	run := &collector{endpoint: endpoint, log: &tail{}, ended: make(chan struct{})}
	run.process = exec.Command(c.Collector, "--config", "env:"+exporterVariable, "--config", "yaml:"+settings)
	run.process.Env = append(environment(c.Key), exporterVariable+"="+exporter, "SPANBUCKET_STRESS_ENDPOINT="+endpoint, "SPANBUCKET_STRESS_DB="+db)
	run.process.Stdout, run.process.Stderr = run.log, run.log
	// An interrupt of ours must not end it before it has what we send last.
	run.process.SysProcAttr = ownGroup()
	if err := run.process.Start(); err != nil {
		return nil, err
	}
	go func() { run.err = run.process.Wait(); close(run.ended) }()
	if err := run.ready(ctx); err != nil {
		if !run.hasEnded() {
			err = errors.Join(err, run.stop())
		}
		return nil, err
	}
	return run, nil
}

// exporterVariable holds the exporter's configuration. There may be a secret in it,
// and arguments of a program can be read by everybody on the machine.
const exporterVariable = "SPANBUCKET_STRESS_EXPORTER"

// environment is ours, without the key of the target, which is no business of a
// collector.
func environment(key string) []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		_, value, _ := strings.Cut(variable, "=")
		return key != "" && value == key
	})
}

// freeEndpoint finds a port that nobody listens on.
func freeEndpoint() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// ready waits until the collector listens, or ctx ends. Where somebody else listens
// in its place it ends.
func (c *collector) ready(ctx context.Context) error {
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", c.endpoint)
		if err == nil {
			err = conn.Close()
		}
		if c.hasEnded() {
			return fmt.Errorf("it ended: %w: %s", errors.Join(c.err), c.log)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.ended: // the next attempt sees it
		case <-deadline.C:
			return fmt.Errorf("it does not listen on %s: %s", c.endpoint, c.log)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop asks the collector to end where it is ours, and waits until it has.
func (c *collector) stop() error {
	switch {
	case c.process == nil:
		return nil
	case c.hasEnded() && c.err == nil:
		return fmt.Errorf("the collector ended by itself: %s", c.log)
	case c.hasEnded():
		return fmt.Errorf("the collector ended by itself: %w: %s", c.err, c.log)
	}
	if err := c.process.Process.Signal(syscall.SIGTERM); err != nil {
		_ = c.process.Process.Kill() // there are systems without signals
	}
	select {
	case <-c.ended:
	case <-time.After(time.Minute):
		_ = c.process.Process.Kill()
		<-c.ended
	}
	if c.err != nil {
		return fmt.Errorf("the collector failed: %w: %s", c.err, c.log)
	}
	return nil
}

// tail keeps the end of what a program says. It is safe for concurrent use.
type tail struct {
	mu   sync.Mutex
	text bytes.Buffer
}

const tailBytes = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.Write(p)
	if more := t.text.Len() - tailBytes; more > 0 {
		t.text.Next(more)
	}
	return len(p), nil
}

// String returns what a program says last that it ended by, else all there is.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSpace(t.text.String())
	if at := strings.LastIndex("\n"+text, "\nError: "); at >= 0 {
		text = text[at+len("Error: "):] // the cause is on its last line
	}
	if text == "" {
		return "it said nothing"
	}
	return text
}
