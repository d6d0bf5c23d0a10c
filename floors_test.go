package spanbucketexporter

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A room is a folder of Go files. Its files may import the standard library
// (but for what is banned), the rooms and the modules that its row names, and
// nothing else. A folder without a row may import nothing but the standard
// library. Tests are free, and so are folders whose names end in "test": no
// row but that of bench lets one be imported.
//
// Do not relax a row to make a change compile: each line is a reason why the
// room can be understood, tested or used alone.
type floor struct {
	room string
	why  string
	// rooms of the project it may import; each has a row above.
	rooms []string
	// modules: import path prefix → what for.
	modules map[string]string
	// banned packages of the standard library → why.
	banned map[string]string
}

// The names of what several rooms may or may not import.
const (
	collectorPath = "go.opentelemetry.io/collector/"
	pdataPath     = "go.opentelemetry.io/collector/pdata/"
	contribPath   = "github.com/open-telemetry/opentelemetry-collector-contrib/"
	anyPath       = "" // prefix of every path: for folders with a go.mod of their own
)

var noClock = map[string]string{
	"time":         "no clock: time comes in as an argument, in integers",
	"database/sql": "no SQL",
	"log":          "errors are returned", "log/slog": "errors are returned",
	"os": "no files", "net/http": "no network",
}

// floors lists the rooms from the ground up.
var floors = []floor{
	{
		room: "aggregator/histogram", banned: noClock,
		why: "the error bound and the laws of merging are provable only of a value that stands alone",
	},
	{
		room: "aggregator/dedup", banned: noClock,
		why:     "a set of numbers that can be compared with a map: when it forgets, and where it is kept, others decide",
		modules: map[string]string{"github.com/dchest/siphash": "SipHash-2-4"},
	},
	{
		room: "aggregator", rooms: []string{"aggregator/histogram"}, banned: noClock,
		why: "buckets, series and deltas are tested without a collector, a file or a clock",
	},
	{
		room: "aggregator/sampling", rooms: []string{"aggregator"}, banned: noClock,
		why: "who is kept and how many a row stands for can be computed by anybody, and is proven without a file",
	},
	{
		room: "spans", rooms: []string{"aggregator", "aggregator/dedup"},
		why: "the only room that knows how instrumentation names things",
		modules: map[string]string{
			pdataPath:                    "what it reads",
			contribPath + "pkg/sampling": "the sampling threshold in the trace state",
		},
		banned: map[string]string{"database/sql": "no SQL", "os": "no files", "net/http": "no network"},
	},
	{
		room: "storage", rooms: []string{"aggregator", "aggregator/dedup", "aggregator/histogram", "aggregator/sampling"},
		// aggregator/sampling: what is chosen of a minute depends on all batches that
		// the file holds of it, which only the writer knows.
		why: "the only room that knows SQL, file paths and fsync; the command line uses it without a collector",
		modules: map[string]string{
			"modernc.org/sqlite":     "the engine, in Go",
			"github.com/gofrs/flock": "one writer per file",
		},
		banned: map[string]string{"log": "errors are returned", "log/slog": "errors are returned", "net/http": "no network"},
	},
	{
		room: "folding", rooms: []string{"aggregator", "aggregator/sampling", "spans", "storage"},
		why:     "from an OTLP batch to its commit, for the exporter and for recordings alike: without a collector, and with no goroutine",
		modules: map[string]string{pdataPath: "what it folds"},
		banned:  map[string]string{"database/sql": "storage knows SQL", "os": "no files", "net/http": "no network", "log": "errors are returned", "log/slog": "errors are returned"},
	},
	{
		room: "recording",
		why:  "formats of recorded OTLP, and reading them at full speed; what is done with the spans, others decide",
		modules: map[string]string{
			pdataPath: "what it decodes", "github.com/klauspost/compress/zstd": "what the file exporter compresses with",
		},
		banned: map[string]string{"database/sql": "no SQL", "os": "files are opened by others", "net/http": "no network"},
	},
	{
		room: "analysis/resampling", banned: noClock,
		why: "intervals for figures that are correlated in time, of numbers alone",
	},
	{
		room: "analysis", rooms: []string{"aggregator", "aggregator/histogram", "analysis/resampling", "storage"},
		why:    "a question is a function: the command line, the page and the agent server give one answer",
		banned: map[string]string{"flag": "no command line", "net/http": "no network"},
	},
	{
		room: "check", rooms: []string{"aggregator", "storage", "analysis"},
		why:     "thresholds and what became of them: the command line only prints it",
		modules: map[string]string{"go.yaml.in/yaml/v3": "files of thresholds, with the lines of faults"},
		banned:  map[string]string{"flag": "no command line", "net/http": "no network", "os": "files are opened by others"},
	},
	{
		room: "report/tables", rooms: []string{"analysis"},
		why:     "one way to show a number, for the command line and the report",
		modules: map[string]string{"golang.org/x/text/width": "how wide a character is in a table"},
		banned:  map[string]string{"database/sql": "no SQL", "os": "no files", "net/http": "no network"},
	},
	{
		room: "query/engine",
		why:  "the engine without the driver for database/sql, which has neither an authorizer nor a bound on memory; what is unsafe stays here",
		modules: map[string]string{
			"modernc.org/sqlite/lib": "the engine", "modernc.org/libc": "what it is built on",
		},
		banned: map[string]string{"database/sql": "the driver's", "os": "no files", "net/http": "no network"},
	},
	{
		room: "query", rooms: []string{"aggregator/histogram", "storage", "query/engine"},
		why:     "SQL of somebody else, with its guards in one place",
		modules: map[string]string{"modernc.org/sqlite/lib": "the numbers of the engine's limits and actions"},
		banned:  map[string]string{"database/sql": "the driver's connections have no guards", "flag": "no command line", "net/http": "no network"},
	},
	{
		room: "report/page", why: "draws JSON: what is in it is a contract of names, not of types",
		banned: map[string]string{"database/sql": "no SQL", "os": "no files", "net/http": "no network"},
	},
	{
		room: "report", rooms: []string{"analysis", "report/tables", "report/page", "storage", "aggregator", "aggregator/histogram"},
		why: "answers as text, JSON, CSV and HTML, to a writer it is given",
	},
	{
		room: "live", rooms: []string{"analysis", "report", "report/page", "storage"},
		why: "the report over HTTP: the only room that listens",
	},
	{
		room: "mcpserver", rooms: []string{"aggregator", "storage", "analysis", "query", "report/tables"},
		why:     "the questions as tools of an agent: what they answer, analysis decides",
		modules: map[string]string{"github.com/modelcontextprotocol/go-sdk": "the protocol"},
		banned:  map[string]string{"flag": "no command line", "net/http": "no network", "os": "files are storage's"},
	},
	{
		room: "fakellm", why: "a model's API that anybody can test with: it knows nothing of files or of us",
		modules: map[string]string{"go.opentelemetry.io/otel": "marking the span of a request"},
		banned:  map[string]string{"database/sql": "no SQL", "os": "no files"},
	},
	{
		room: "stress/discreet", why: "a key that is kept out of errors in one place",
		banned: map[string]string{"database/sql": "no SQL", "os": "no files"},
	},
	{
		room: "stress", rooms: []string{"aggregator/histogram", "stress/discreet"},
		why: "clients as they are in the field: what they tell goes through the SDK, never to a file of ours",
		modules: map[string]string{
			"go.opentelemetry.io/otel": "spans", "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp": "the spans of HTTP requests",
			"github.com/sony/gobreaker/v2": "the circuit breaker", "golang.org/x/time/rate": "when users begin",
		},
		banned: map[string]string{"database/sql": "no SQL", "os": "no files"},
	},
	{
		room: "stress/chaos", rooms: []string{"stress/discreet"}, why: "named tests of an API, each of which can be read alone",
		modules: map[string]string{
			"go.opentelemetry.io/otel": "spans", "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp": "the spans of HTTP requests",
			"golang.org/x/time/rate": "a rate of requests",
		},
		banned: map[string]string{"database/sql": "no SQL", "os": "no files"},
	},
	{
		room: "stress/experiment", rooms: []string{"aggregator/histogram", "fakellm", "stress", "stress/chaos"},
		why: "joins load, faults and a collector, which is a process like any other",
		modules: map[string]string{
			"go.opentelemetry.io/otel": "the SDK and its OTLP exporter", "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp": "the spans of the fake model",
			"go.yaml.in/yaml/v3": "the configuration of the collector that is started",
		},
		banned: map[string]string{"database/sql": "no SQL"},
	},
	{
		room: "internal/metadata", why: "generated from metadata.yaml",
		modules: map[string]string{collectorPath: "component types", "go.opentelemetry.io/otel/": "instruments"},
	},
	{
		room: "internal/metadatatest", rooms: []string{"internal/metadata"}, why: "generated from metadata.yaml",
		modules: map[string]string{
			collectorPath: "component types", "go.opentelemetry.io/otel/": "instruments",
			"github.com/stretchr/testify/": "its only user is tests",
		},
	},
	{
		room: "internal/spantest", why: "one realistic load for tests and benchmarks",
		modules: map[string]string{pdataPath: "what it makes"},
	},
	{
		room: ".", rooms: []string{"aggregator", "aggregator/sampling", "spans", "storage", "folding", "internal/metadata"},
		why: "factory, configuration and wiring; besides storage the only room with a clock",
		modules: map[string]string{
			collectorPath:               "the component's contract and exporterhelper",
			"go.opentelemetry.io/otel/": "instruments", "go.uber.org/zap": "the collector's logger",
			"google.golang.org/": "the status of a full disk, as receivers hand it on",
		},
		banned: map[string]string{"database/sql": "storage knows SQL"},
	},
	{
		room: "internal/traffic", why: "sends spans as any service would: through the OpenTelemetry SDK, knowing nothing of us",
		modules: map[string]string{
			"go.opentelemetry.io/otel": "the SDK and its OTLP exporters", "google.golang.org/grpc": "the SDK's connection",
		},
	},
	{
		room: "cmd/spanbucket", rooms: []string{"aggregator", "aggregator/histogram", "storage", "folding", "recording", "analysis", "check", "query", "mcpserver", "report", "report/tables", "report/page", "live", "fakellm", "stress", "stress/chaos", "stress/experiment"},
		why: "who reads a file needs neither a collector nor pdata; of recordings it knows the names",
		modules: map[string]string{
			"github.com/spf13/cobra": "verbs, flags and help", "github.com/spf13/pflag": "what is wrong with a flag",
			"golang.org/x/term": "how wide the terminal is",
		},
	},
	{
		room: "cmd/otelcol-spanbucket", rooms: []string{"."}, why: "shows that the exporter works through its factory alone",
		modules: map[string]string{anyPath: "a module of its own, generated from builder-config.yaml"},
	},
	{
		room: "bench", rooms: []string{".", "aggregator", "aggregator/histogram", "aggregator/sampling", "spans", "storage", "internal/spantest"},
		why:     "cost end to end and room by room, beside peers; nothing imports it",
		modules: map[string]string{anyPath: "a module of its own, for the peers' sake"},
	},
}

// check returns what is wrong with an import, and nothing where it may stand.
func (f *floor) check(name string) string {
	if isStandard(name) {
		if why, banned := f.banned[name]; banned {
			return "is banned there (" + why + ")"
		}
		return ""
	}
	if name == modulePath || strings.HasPrefix(name, modulePath+"/") {
		room := strings.TrimPrefix(strings.TrimPrefix(name, modulePath), "/")
		if room == "" {
			room = "."
		}
		if !slices.Contains(f.rooms, room) {
			return "is not a room it may import"
		}
		return ""
	}
	for prefix := range f.modules {
		if name == prefix || strings.HasPrefix(name, strings.TrimSuffix(prefix, "/")+"/") || prefix == anyPath {
			return ""
		}
	}
	return "is not a module it may import"
}

func TestFloors(t *testing.T) {
	rows := map[string]*floor{}
	for i := range floors {
		rows[floors[i].room] = &floors[i]
	}
	for _, f := range readSources(t) {
		if f.isTest {
			continue
		}
		row, known := rows[f.room]
		if !known && strings.HasSuffix(f.room, "test") {
			continue
		}
		if !known {
			row = &floor{why: "a new room starts with nothing allowed: give it a row in floors"}
		}
		for _, name := range f.imports {
			if fault := row.check(name); fault != "" {
				t.Errorf("%s imports %q, which %s; %s: %s", f.path, name, fault, f.room, row.why)
			}
		}
	}
}

// TestFloorsAreInOrder holds the table itself to the order of the design: a
// room may import only rooms above it in the list.
func TestFloorsAreInOrder(t *testing.T) {
	above := map[string]bool{}
	for _, f := range floors {
		assert.NotEmpty(t, f.why, f.room)
		assert.False(t, above[f.room], "%s has two rows", f.room)
		for _, room := range f.rooms {
			assert.True(t, above[room], "%s may import %s, which does not lie above it", f.room, room)
		}
		for prefix, why := range f.modules {
			assert.NotEmpty(t, why, "%s: %s", f.room, prefix)
		}
		above[f.room] = true
	}
}

// TestRoomsAreDescribed holds the table of rooms in CONTRIBUTING.md to the
// folders that there are, and to the order of the floors.
func TestRoomsAreDescribed(t *testing.T) {
	var described []string
	for _, row := range readPage(t, "CONTRIBUTING.md").under(t, "Rooms", "room").rows {
		require.NotEmpty(t, row[1], row[0])
		if row[0] == "root" {
			described = append(described, ".")
		}
		described = append(described, codeSpans(row[0])...)
	}
	var there []string
	for _, f := range readSources(t) {
		if !slices.Contains(there, f.room) {
			there = append(there, f.room)
		}
	}
	require.ElementsMatch(t, there, described)
	var inOrder []string
	for _, f := range floors {
		inOrder = append(inOrder, f.room)
	}
	ground := slices.DeleteFunc(described, func(room string) bool { return !slices.Contains(inOrder, room) })
	require.Equal(t, inOrder, ground)
}

// TestFloorsCanFail shows the rule at work on the imports that would do the
// most harm.
func TestFloorsCanFail(t *testing.T) {
	rows := map[string]*floor{}
	for i := range floors {
		rows[floors[i].room] = &floors[i]
	}
	for room, names := range map[string][]string{
		"aggregator/histogram": {"time", "go.uber.org/zap", modulePath + "/aggregator"},
		"aggregator/dedup":     {"time", "database/sql", modulePath + "/storage"},
		"aggregator/sampling":  {"time", "database/sql", modulePath + "/storage"},
		"aggregator":           {"time", "database/sql", pdataPath + "ptrace", modulePath + "/spans"},
		"spans":                {"database/sql", "modernc.org/sqlite", collectorPath + "component", modulePath + "/storage"},
		"storage":              {pdataPath + "ptrace", collectorPath + "component", "go.uber.org/zap", modulePath + "/spans", modulePath},
		"folding":              {"database/sql", "os", collectorPath + "component", modulePath},
		"recording":            {"os", collectorPath + "component", modulePath + "/storage", modulePath},
		"cmd/spanbucket":       {pdataPath + "ptrace", collectorPath + "component", modulePath + "/spans", modulePath},
		".":                    {"database/sql", "modernc.org/sqlite", modulePath + "/internal/spantest"},
		"internal/traffic":     {modulePath, modulePath + "/aggregator", pdataPath + "ptrace"},
	} {
		require.Contains(t, rows, room)
		for _, name := range names {
			assert.NotEmpty(t, rows[room].check(name), "%s may import %s", room, name)
		}
	}
	assert.NotEmpty(t, (&floor{}).check("github.com/stretchr/testify/require"))
	assert.Empty(t, rows["spans"].check(pdataPath+"pcommon"))
	assert.NotEmpty(t, rows["spans"].check("go.opentelemetry.io/collector/pdatax"), "a prefix ends at a slash")
}
