package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
)

// collector counts the spans it is sent.
type collector struct {
	ptraceotlp.UnimplementedGRPCServer
	spans  atomic.Int64
	refuse error
}

func (c *collector) Export(_ context.Context, request ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	if c.refuse != nil {
		return ptraceotlp.ExportResponse{}, c.refuse
	}
	c.spans.Add(int64(request.Traces().SpanCount()))
	return ptraceotlp.NewExportResponse(), nil
}

func (c *collector) serveGRPC(t *testing.T) (address string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(server, c)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		assert.NoError(t, <-served)
	})
	return listener.Addr().String()
}

func (c *collector) serveHTTP(t *testing.T) (address string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		request := ptraceotlp.NewExportRequest()
		if err == nil {
			err = request.UnmarshalProto(body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		response, _ := c.Export(r.Context(), request)
		body, _ = response.MarshalProto()
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestEverySpanIsSentAndCounted(t *testing.T) {
	for protocol, serve := range map[string]func(*collector, *testing.T) string{
		"grpc": (*collector).serveGRPC, "http": (*collector).serveHTTP,
	} {
		t.Run(protocol, func(t *testing.T) {
			c := &collector{}
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), []string{
				"-endpoint", serve(c, t), "-protocol", protocol, "-asap", "-json", "-duration", "30s",
			}, &stdout, &stderr)
			require.Equal(t, 0, code, stderr.String())
			var printed struct {
				Spans   int64                       `json:"spans"`
				SpansBy map[string]map[string]int64 `json:"spans_by"`
			}
			require.NoError(t, json.Unmarshal(stdout.Bytes(), &printed))
			assert.Equal(t, c.spans.Load(), printed.Spans)
			var sum int64
			for _, outcomes := range printed.SpansBy {
				for _, n := range outcomes {
					sum += n
				}
			}
			assert.Equal(t, printed.Spans, sum)
			assert.Greater(t, printed.Spans, int64(3000))
		})
	}
}

func TestFailedExportIsAnError(t *testing.T) {
	c := &collector{refuse: errors.New("no")}
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"-endpoint", c.serveGRPC(t), "-asap", "-duration", "1s"}, &stdout, &stderr)
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr.String(), "export: ")
	assert.Empty(t, stdout.String())
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{
		{"-protocol", "udp"}, {"-duration", "0s"}, {"-rate", "0"}, {"-rate", "NaN"}, {"-no-such-flag"}, {"left over"},
	} {
		assert.Equal(t, 2, run(t.Context(), args, io.Discard, io.Discard), args)
	}
	assert.Equal(t, 1, run(t.Context(), []string{"-endpoint", "127.0.0.1:1", "-wait", "1ms"}, io.Discard, io.Discard))
}

func TestTrafficIsWellFormed(t *testing.T) {
	begin := time.Unix(1_767_225_600, 0)
	plan := schedule{begin: begin, length: 30 * time.Second}
	g, again := newGenerator(7, plan), newGenerator(7, plan)
	inject := map[phase]int{}
	seen := newTally()
	for at := begin; at.Before(begin.Add(plan.length)); at = at.Add(10 * time.Millisecond) {
		root := g.request(at)
		assert.Equal(t, root, again.request(at), "the same seed gives the same traffic")
		require.Less(t, root.end.Sub(root.start), longestRequest)
		walk(root, func(parent, s *span) {
			seen.add(s)
			require.NotEmpty(t, s.outcome, s.name)
			require.False(t, s.end.Before(s.start), s.name)
			if parent != nil {
				require.False(t, s.start.Before(parent.start) || s.end.After(parent.end), "%s lies outside %s", s.name, parent.name)
			}
			for _, a := range s.attributes {
				if a.Key == "chaos.fault.type" {
					current, _ := plan.at(s.start)
					inject[current]++
				}
			}
		})
	}
	assert.Greater(t, seen.turns, len(seen.sessions), "conversations go on")
	assert.NotEmpty(t, seen.toolCalls)
	assert.Positive(t, seen.rejected)
	assert.Positive(t, seen.evaluations)
	assert.Positive(t, seen.trips)
	assert.Equal(t, closed, g.breaker.state, "the breaker closes with the fault")
	experiment := g.injector()
	for at, want := range map[time.Time]phase{experiment.start.Add(time.Millisecond): fault, experiment.end.Add(-time.Millisecond): fault} {
		current, _ := plan.at(at)
		assert.Equal(t, want, current)
	}
	assert.Zero(t, inject[baseline], "no fault before the experiment")
	assert.Greater(t, inject[fault], 300)
	for _, category := range []string{"llm", "embedding", "tool", "agent", "server", "client", "database"} {
		assert.Contains(t, seen.byCategory, category)
	}
	for _, outcome := range []string{
		"success", "rate_limited", "capacity_error", "server_error", "client_error", "connection_error",
		"malformed", "cancelled", "circuit_open",
	} {
		assert.NotZero(t, seen.byCategory["llm"][outcome], outcome)
	}
}

// walk visits the tree of spans from the top.
func walk(root *span, visit func(parent, s *span)) {
	visit(nil, root)
	var below func(*span)
	below = func(s *span) {
		for _, child := range s.children {
			visit(s, child)
			below(child)
		}
	}
	below(root)
}
