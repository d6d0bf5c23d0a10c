package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// buildCollector builds the collector as `make build` does, once.
var buildCollector = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "otelcol-spanbucket")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(folder, "otelcol-spanbucket")
	output, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", binary, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the collector: %w\n%s", err, output)
	}
	return binary, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if binary, err := buildCollector(); err == nil {
		_ = os.RemoveAll(filepath.Dir(binary))
	}
	os.Exit(code)
}

// process is a running collector.
type process struct {
	grpc, http string // addresses of the OTLP receiver
	command    *exec.Cmd
	log        *lockedBuffer
	ended      chan struct{}
	failure    error // valid once ended is closed
}

// startCollector runs the collector with the config.yaml we ship, on free ports
// of loopback, and returns once it reports that it is ready.
func startCollector(t *testing.T, path string) *process {
	binary, err := buildCollector()
	require.NoError(t, err)
	ports := freePorts(t, 4)
	p := &process{grpc: ports[0], http: ports[1], log: &lockedBuffer{}, ended: make(chan struct{})}
	_, metricsPort, err := net.SplitHostPort(ports[3])
	require.NoError(t, err)
	p.command = exec.Command(binary, "--config", "config.yaml")
	p.command.Env = append(os.Environ(), "SPANBUCKET_PATH="+path, "SPANBUCKET_GRPC="+p.grpc, "SPANBUCKET_HTTP="+p.http,
		"SPANBUCKET_HEALTH="+ports[2], "SPANBUCKET_METRICS_PORT="+metricsPort)
	p.command.Stdout, p.command.Stderr = p.log, p.log
	require.NoError(t, p.command.Start())
	go func() {
		p.failure = p.command.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the collector's log:\n%s", p.log)
		}
	})
	p.awaitReady(t, "http://"+ports[2])
	return p
}

// awaitReady polls the health_check extension.
func (p *process) awaitReady(t *testing.T, url string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			require.NoError(t, response.Body.Close())
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-p.ended:
			require.FailNow(t, "the collector ended before it was ready", p.failure)
		case <-ctx.Done():
			require.FailNow(t, "the collector did not become ready in time")
		case <-again.C:
		}
	}
}

// stop asks the collector to end and checks that it does so cleanly and soon.
func (p *process) stop(t *testing.T) {
	require.NoError(t, p.command.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.ended:
		assert.NoError(t, p.failure, "exit status after SIGTERM")
	case <-time.After(10 * time.Second):
		require.FailNow(t, "the collector did not end within 10 s of SIGTERM")
	}
}

// kill ends the collector without giving it a chance to do anything.
func (p *process) kill() {
	if err := p.command.Process.Kill(); err == nil || errors.Is(err, os.ErrProcessDone) {
		<-p.ended
	}
}

// freePorts returns addresses on loopback that nothing listens on.
func freePorts(t *testing.T, n int) []string {
	addresses := make([]string, n)
	for i := range addresses {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		// Closed after the loop, so that no port is given out twice.
		defer func() { require.NoError(t, listener.Close()) }()
		addresses[i] = listener.Addr().String()
	}
	return addresses
}

// lockedBuffer is a buffer that can be read while it is written.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
