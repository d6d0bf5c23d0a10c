package experiment

import (
	"context"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
)

// TestMain: when an experiment has ended nothing goes on. With fakeCollector in
// its environment this program is a collector.
func TestMain(m *testing.M) {
	if folder := os.Getenv(fakeCollector); folder != "" {
		beCollector(folder)
		return
	}
	goleak.VerifyTestMain(m)
}

// fakeCollector names the folder in which a collector that does not listen leaves
// a file for each argument, and one for its environment.
const fakeCollector = "SPANBUCKET_FAKE_COLLECTOR"

func beCollector(folder string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := os.WriteFile(filepath.Join(folder, "environment"), []byte(strings.Join(os.Environ(), "\n")), 0o600); err != nil {
		panic(err)
	}
	for i, argument := range append(os.Args[1:], "the end") {
		if err := os.WriteFile(filepath.Join(folder, strconv.Itoa(i)), []byte(argument), 0o600); err != nil {
			panic(err)
		}
	}
	<-ctx.Done()
}

// told is a span that arrived, with the texts of its attributes; those of its
// resource are there too, where the span has none of that name.
type told struct {
	name       string
	start, end uint64
	texts      map[string]string
}

// sink is a collector that keeps spans in memory.
type sink struct {
	collectorpb.UnimplementedTraceServiceServer
	endpoint string
	mu       sync.Mutex
	spans    []told
}

func newSink(t *testing.T) *sink {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s, server := &sink{endpoint: listener.Addr().String()}, grpc.NewServer()
	collectorpb.RegisterTraceServiceServer(server, s)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() { server.Stop(); serving.Wait() })
	return s
}

func (s *sink) Export(_ context.Context, r *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range r.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				one := told{name: span.GetName(), start: span.GetStartTimeUnixNano(), end: span.GetEndTimeUnixNano(), texts: map[string]string{}}
				for _, from := range [][]*commonpb.KeyValue{resource.GetResource().GetAttributes(), span.GetAttributes()} {
					for _, kv := range from {
						one.texts[kv.GetKey()] = kv.GetValue().GetStringValue()
					}
				}
				s.spans = append(s.spans, one)
			}
		}
	}
	return &collectorpb.ExportTraceServiceResponse{}, nil
}

// named returns the spans of a service that have a name.
func (s *sink) named(service, name string) (all []told) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.spans {
		if one.name == name && one.texts["service.name"] == service {
			all = append(all, one)
		}
	}
	return all
}
