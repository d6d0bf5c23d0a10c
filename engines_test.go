package spanbucketexporter

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/exporter/exportertest"

	"github.com/spanbucket/spanbucketexporter/internal/metadata"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// shell runs a query in the sqlite3 shell and returns its rows.
func shell(t *testing.T, path, text string) []map[string]any {
	t.Helper()
	program, err := exec.LookPath("sqlite3")
	require.NoError(t, err, "the sqlite3 shell is part of this test: apt-get install sqlite3")
	var stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), program, "-readonly", "-json", path, text)
	command.Stderr = &stderr
	out, err := command.Output()
	require.NoError(t, err, stderr.String())
	if len(bytes.TrimSpace(out)) == 0 {
		return nil
	}
	var rows []map[string]any
	decoder := json.NewDecoder(bytes.NewReader(out))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&rows))
	return rows
}

// TestViewsAgreeInBothEngines reads every view through the shell and through
// our driver, while the exporter is writing to the file.
func TestViewsAgreeInBothEngines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	config, err := configFromYAML(t, goldenConfig)
	require.NoError(t, err)
	config.Path = path
	config.Dimensions = append(config.Dimensions, DimensionConfig{Name: "gen_ai.request.model", Default: "-", MaxValues: 10})
	e := startExporter(t, config)
	defer stopExporter(t, e)
	r := seedtest.Rand(t)
	// Far in the past, so that no bucket settles between the two readings.
	sendAll(t, e, r, randomSpans(r, 2000, time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC), 2*time.Minute), 4)
	sendGoldens(t, e) // sessions, tools, faults, circuits, evaluations
	sendRefused(t, e, path)

	reader := openReader(t, path)
	objects := query(t, reader, `SELECT name FROM sqlite_schema WHERE type IN ('view', 'table') AND name NOT LIKE 'sqlite_%'`)
	require.Greater(t, len(objects), 10)
	for _, object := range objects {
		name := object["name"].(string)
		t.Run(name, func(t *testing.T) {
			text := everyRow(t, reader, name)
			ours, theirs := query(t, reader, text), shell(t, path, text)
			// Nothing has left, nothing was joined, and all requests are kept.
			if name != "pruned" && name != "merged_file" && name != "request_stratum" {
				require.NotEmpty(t, ours)
			}
			require.Len(t, theirs, len(ours))
			for i := range ours {
				require.Len(t, theirs[i], len(ours[i]))
				for column, value := range ours[i] {
					requireSameValue(t, name+"."+column, value, theirs[i][column])
				}
			}
		})
	}
}

// everyRow reads a relation: blobs as text, since these do not travel through
// JSON, in an order that only leaves rows open that are the same.
func everyRow(t *testing.T, reader *storage.Reader, relation string) string {
	t.Helper()
	var columns, places []string
	for i, c := range query(t, reader, "SELECT name, type FROM pragma_table_info(?)", relation) {
		name := c["name"].(string)
		if c["type"] == "BLOB" {
			name = "hex(" + name + ") AS " + name
		}
		columns, places = append(columns, name), append(places, strconv.Itoa(i+1))
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + relation + " ORDER BY " + strings.Join(places, ", ")
}

func requireSameValue(t *testing.T, what string, ours, theirs any) {
	t.Helper()
	switch ours := ours.(type) {
	case nil:
		require.Nil(t, theirs, what)
	case string:
		require.Equal(t, ours, theirs, what)
	case int64:
		n, err := theirs.(json.Number).Int64()
		require.NoError(t, err, what)
		require.Equal(t, ours, n, what)
	case float64:
		f, err := theirs.(json.Number).Float64()
		require.NoError(t, err, what)
		// The shell prints 15 digits.
		require.InDelta(t, ours, f, 1e-14*max(1, ours), what)
	default:
		t.Fatalf("%s: unexpected %T", what, ours)
	}
}

// TestPercentileInPlainSQL computes p99 by model from the view bins, in the
// shell, and compares it with the true nearest-rank value.
func TestPercentileInPlainSQL(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	e := startExporter(t, testConfig(path))
	r := seedtest.Rand(t)
	spans := randomSpans(r, 3000, time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC), 50*time.Minute)
	sendAll(t, e, r, spans, 2)
	stopExporter(t, e)
	rows := shell(t, path, `
		WITH b AS (
			SELECT model, bin, mid_ns, sum(count) AS n
			FROM bins JOIN latency USING (width_s, bucket_start, series_id)
			WHERE width_s = 300 AND measure = 'duration' GROUP BY model, bin
		), ranked AS (
			SELECT model, mid_ns, sum(n) OVER (PARTITION BY model ORDER BY bin) AS upto, sum(n) OVER (PARTITION BY model) AS total FROM b
		)
		SELECT model, min(mid_ns) AS p99_ns FROM ranked WHERE upto * 100 >= total * 99 GROUP BY model ORDER BY model`)
	byModel := map[string][]*sentSpan{}
	for i := range spans {
		byModel[spans[i].model] = append(byModel[spans[i].model], &spans[i])
	}
	require.Len(t, rows, len(byModel))
	for _, row := range rows {
		want := measure(byModel[row["model"].(string)], (*sentSpan).duration).nearestRank(99)
		got, err := row["p99_ns"].(json.Number).Int64()
		require.NoError(t, err)
		require.InEpsilon(t, float64(want), float64(got), 1.0/128, row["model"])
	}
}

// TestSchemaIsPinned holds the numbers that files depend on.
func TestSchemaIsPinned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	e := newTracesExporter(testConfig(path), exportertest.NewNopSettings(metadata.Type))
	require.NoError(t, e.start(t.Context(), nil))
	require.NoError(t, e.shutdown(t.Context()))
	for pragma, want := range map[string]string{
		"application_id": "1399865963", "user_version": "6", "auto_vacuum": "2", "journal_mode": `"wal"`,
	} {
		rows := shell(t, path, "PRAGMA "+pragma)
		value, err := json.Marshal(rows[0][pragma])
		require.NoError(t, err)
		require.Equal(t, want, string(value), pragma)
	}
}
