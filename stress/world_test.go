package stress_test

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	spanbucketexporter "github.com/spanbucket/spanbucketexporter"
	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/stress"
)

// world is a fake model, clients of it, and a file that is told of both.
type world struct {
	path     string
	server   *fakellm.Server
	http     *httptest.Server
	exporter exporter.Traces
	tracing  []*sdktrace.TracerProvider
}

// pipe hands what the SDK encoded to an exporter, in this process.
type pipe struct{ to exporter.Traces }

func (pipe) Start(context.Context) error { return nil }
func (pipe) Stop(context.Context) error  { return nil }

func (p pipe) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	text, err := proto.Marshal(&collectorpb.ExportTraceServiceRequest{ResourceSpans: spans})
	if err != nil {
		return err
	}
	request := ptraceotlp.NewExportRequest()
	if err := request.UnmarshalProto(text); err != nil {
		return err
	}
	return p.to.ConsumeTraces(ctx, request.Traces())
}

// newWorld starts a fake model and an exporter.
func newWorld(t *testing.T, c fakellm.Config) *world {
	t.Helper()
	factory := spanbucketexporter.NewFactory()
	config := factory.CreateDefaultConfig().(*spanbucketexporter.Config)
	w := &world{path: filepath.Join(t.TempDir(), "spanbucket.db"), server: fakellm.New(c)}
	config.Path = w.path
	config.Timeout.Timeout = time.Hour // nothing is to be lost, however slow the machine is
	var err error
	w.exporter, err = factory.CreateTraces(t.Context(), exportertest.NewNopSettings(factory.Type()), config)
	require.NoError(t, err)
	require.NoError(t, w.exporter.Start(t.Context(), componenttest.NewNopHost()))
	handler := otelhttp.NewHandler(w.server, "", otelhttp.WithTracerProvider(w.provider(t, "fake-llm")),
		otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return w.server.Route(r) }))
	w.http = httptest.NewServer(handler)
	return w
}

// provider makes the spans of one service. Nothing is dropped: who ends a span
// waits where the exporter is behind.
func (w *world) provider(t *testing.T, service string) *sdktrace.TracerProvider {
	t.Helper()
	out, err := otlptrace.New(t.Context(), pipe{w.exporter})
	require.NoError(t, err)
	p := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample()),
		sdktrace.WithBatcher(out, sdktrace.WithBlocking(), sdktrace.WithBatchTimeout(100*time.Millisecond), sdktrace.WithExportTimeout(time.Hour)),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", service),
			attribute.String("chaos.run.id", "truth"), attribute.String("service.instance.id", service+"-0"))))
	w.tracing = append(w.tracing, p)
	return p
}

// load runs a load against the fake model.
func (w *world) load(t *testing.T, c stress.Config) *stress.Load {
	t.Helper()
	var err error
	c.Target, err = url.Parse(w.http.URL)
	require.NoError(t, err)
	c.Tracing = w.provider(t, "clients")
	l, err := stress.NewLoad(c)
	require.NoError(t, err)
	l.Run(t.Context())
	return l
}

// loadOn runs a load against another target.
func (w *world) loadOn(t *testing.T, target http.Handler, c stress.Config) *stress.Load {
	t.Helper()
	w.http.Close()
	w.http = httptest.NewServer(target)
	return w.load(t, c)
}

// close makes sure that every span is in the file, and opens it.
func (w *world) close(t *testing.T) *sql.DB {
	t.Helper()
	w.http.Close()
	for _, p := range w.tracing {
		require.NoError(t, p.Shutdown(context.Background()))
	}
	require.NoError(t, w.exporter.Shutdown(context.Background()))
	db, err := sql.Open("sqlite", "file:"+w.path+"?mode=ro")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// counts reads two columns, a name and a number.
func counts(t *testing.T, db *sql.DB, query string) map[string]int64 {
	t.Helper()
	rows, err := db.Query(query)
	require.NoError(t, err)
	defer rows.Close()
	got := map[string]int64{}
	for rows.Next() {
		var name string
		var n int64
		require.NoError(t, rows.Scan(&name, &n))
		got[name] = n
	}
	require.NoError(t, rows.Err())
	return got
}
