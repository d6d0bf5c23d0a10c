package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"github.com/spanbucket/spanbucketexporter/fakellm"
)

// spansText is a collector that keeps all that it is sent, as text.
type spansText struct {
	collectorpb.UnimplementedTraceServiceServer
	mu   sync.Mutex
	text strings.Builder
}

func (s *spansText) Export(_ context.Context, r *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.WriteString(r.String())
	return &collectorpb.ExportTraceServiceResponse{}, nil
}

// listen returns the endpoint where such a collector listens.
func (s *spansText) listen(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	collectorpb.RegisterTraceServiceServer(server, s)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() { server.Stop(); serving.Wait() })
	return listener.Addr().String()
}

// requireWithout: spans came, and none repeats a key.
func (s *spansText) requireWithout(t *testing.T, key string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Contains(t, s.text.String(), "chaos.run.id")
	require.NotContains(t, s.text.String(), key)
}

// TestTheKeyIsWrittenNowhere: load and chaos tests send it to the target with
// every request, and neither spans nor what is printed repeat it, be it right or
// wrong.
func TestTheKeyIsWrittenNowhere(t *testing.T) {
	const key = "sk-canary-0d1e2f"
	t.Setenv("SPANBUCKET_TEST_KEY", key)
	collector := &spansText{}
	endpoint := collector.listen(t)
	model := fakellm.New(fakellm.Config{})
	var right, wrong atomic.Int64
	for want, format := range map[string]string{key: "json", "sk-another": "text"} {
		target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if said := r.Header.Get("Authorization"); said != "Bearer "+want {
				wrong.Add(1)
				http.Error(w, `{"error":{"message":"Incorrect API key: `+said+`"}}`, http.StatusUnauthorized)
				return
			}
			right.Add(1)
			model.ServeHTTP(w, r)
		}))
		t.Cleanup(target.Close)
		right.Store(0)
		wrong.Store(0)
		var stdout, stderr bytes.Buffer
		run(t.Context(), []string{
			"stress", "--otlp", endpoint, "--insecure", "--target", target.URL, "--key-env", "SPANBUCKET_TEST_KEY",
			"--mode", "full", "--users", "2", "--duration", "3s", "--think", "0.1", "--format", format,
		}, strings.NewReader(""), &stdout, &stderr)
		require.NotEmpty(t, stdout.String())
		require.NotContains(t, stdout.String()+stderr.String(), key)
		require.Equal(t, want == key, right.Load() > 0)
		require.Equal(t, want != key, wrong.Load() > 0)
	}
	collector.requireWithout(t, key)
}

// TestAnAnswerOfNothingButTheKey, or one that ends in it, cannot be read, and the
// error does not say why.
func TestAnAnswerOfNothingButTheKey(t *testing.T) {
	const key = `sk-"canary"-3c4d5e`
	t.Setenv("SPANBUCKET_TEST_KEY", key)
	for name, says := range map[string]string{
		"a status":     "%s\r\n\r\n",
		"a last chunk": "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n%s\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					panic(err)
				}
				_, _ = fmt.Fprintf(conn, says, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
				_ = conn.Close()
			}))
			t.Cleanup(target.Close)
			collector := &spansText{}
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), []string{
				"stress", "--otlp", collector.listen(t), "--insecure", "--target", target.URL, "--key-env", "SPANBUCKET_TEST_KEY",
				"--mode", "full", "--users", "2", "--duration", "3s", "--think", "0.1", "--format", "json",
			}, strings.NewReader(""), &stdout, &stderr)
			require.Equal(t, exitCheck, code, stderr.String())
			require.NotContains(t, stdout.String()+stderr.String(), "canary")
			collector.requireWithout(t, "canary")
		})
	}
}
