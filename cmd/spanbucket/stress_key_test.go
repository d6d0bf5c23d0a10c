package main

import (
	"bytes"
	"context"
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

// TestTheKeyIsWrittenNowhere: load and chaos tests send it to the target with
// every request, and neither spans nor what is printed repeat it, be it right or
// wrong.
func TestTheKeyIsWrittenNowhere(t *testing.T) {
	const key = "sk-canary-0d1e2f"
	t.Setenv("SPANBUCKET_TEST_KEY", key)
	collector := &spansText{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	collectorpb.RegisterTraceServiceServer(server, collector)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() { server.Stop(); serving.Wait() })

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
			"stress", "--otlp", listener.Addr().String(), "--insecure", "--target", target.URL, "--key-env", "SPANBUCKET_TEST_KEY",
			"--mode", "full", "--users", "2", "--duration", "3s", "--think", "0.1", "--format", format,
		}, strings.NewReader(""), &stdout, &stderr)
		require.NotEmpty(t, stdout.String())
		require.NotContains(t, stdout.String()+stderr.String(), key)
		require.Equal(t, want == key, right.Load() > 0)
		require.Equal(t, want != key, wrong.Load() > 0)
	}
	collector.mu.Lock()
	defer collector.mu.Unlock()
	require.Contains(t, collector.text.String(), "chaos.run.id")
	require.NotContains(t, collector.text.String(), key)
}
