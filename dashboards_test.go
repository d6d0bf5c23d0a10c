package spanbucketexporter

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dashboard is the part of Grafana's format that is checked.
type dashboard struct {
	Panels []struct {
		ID      int
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []dashboardTarget
	}
	Annotations struct {
		List []struct{ Target dashboardTarget }
	}
	Templating struct {
		List []struct{ Name, Type, Query string }
	}
}

type dashboardTarget struct {
	QueryType, QueryText, RawQueryText string
	TimeColumns                        []string
}

func readJSONFile(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, into))
}

// inGrafana replaces the variables of a query as Grafana does.
func inGrafana(text string) string {
	return strings.NewReplacer(
		"${run:sqlstring}", "'','it''s','"+strings.Repeat("x", 10)+"'",
		"${category:sqlstring}", "'llm','embedding','server'", "${width:sqlstring}", "'300'",
		"$__from", fmt.Sprint(pagesNow.Add(-2*time.Hour).UnixMilli()), "$__to", fmt.Sprint(pagesNow.UnixMilli()),
	).Replace(text)
}

// Every query of the dashboard has rows on a real file, with a column for the time
// where it draws a course, in ascending order.
func TestGrafanaDashboard(t *testing.T) {
	var d dashboard
	readJSONFile(t, "docs/grafana-dashboard.json", &d)
	path := trafficFile(t)
	run := func(name string, target dashboardTarget) []map[string]any {
		require.Equal(t, target.RawQueryText, target.QueryText, name)
		text := inGrafana(target.RawQueryText)
		require.NotContains(t, text, "$", name)
		found := shell(t, path, text)
		require.NotEmpty(t, found, "%s: %s", name, text)
		for _, column := range target.TimeColumns {
			require.Contains(t, found[0], column, name)
		}
		if target.QueryType == "time series" {
			require.True(t, slices.IsSortedFunc(found, func(a, b map[string]any) int {
				return strings.Compare(fmt.Sprint(a["time"]), fmt.Sprint(b["time"]))
			}), name)
		}
		return found
	}
	require.GreaterOrEqual(t, len(d.Panels), 8)
	ids := map[int]bool{}
	for i, p := range d.Panels {
		require.Len(t, p.Targets, 1, p.Title)
		run(p.Title, p.Targets[0])
		assert.False(t, ids[p.ID], "id %d is there twice", p.ID)
		ids[p.ID] = true
		assert.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		for _, other := range d.Panels[:i] {
			apart := p.GridPos.X >= other.GridPos.X+other.GridPos.W || other.GridPos.X >= p.GridPos.X+p.GridPos.W ||
				p.GridPos.Y >= other.GridPos.Y+other.GridPos.H || other.GridPos.Y >= p.GridPos.Y+p.GridPos.H
			assert.True(t, apart, "%s lies over %s", p.Title, other.Title)
		}
	}
	for _, a := range d.Annotations.List {
		require.NotEmpty(t, run("annotation", a.Target)[0]["text"])
	}
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
		if v.Type == "query" {
			require.NotEmpty(t, shell(t, path, inGrafana(v.Query)), v.Name)
		}
	}
	require.Equal(t, []string{"datasource", "run", "category", "width"}, names)
}

// The outcomes of the first panel are all requests.
func TestGrafanaThroughputIsWhole(t *testing.T) {
	var d dashboard
	readJSONFile(t, "docs/grafana-dashboard.json", &d)
	path := trafficFile(t)
	total := 0.0
	for _, row := range shell(t, path, inGrafana(d.Panels[0].Targets[0].RawQueryText)) {
		for name, value := range row {
			if name != "time" {
				perSecond, err := value.(json.Number).Float64()
				require.NoError(t, err)
				total += perSecond * 300
			}
		}
	}
	want, err := shell(t, path, inGrafana(`SELECT sum(requests_total) AS n FROM timeseries WHERE width_s = 300 AND settled
		AND run_id IN (${run:sqlstring}) AND category IN (${category:sqlstring})
		AND bucket_start >= $__from / 1000 AND bucket_start < $__to / 1000`))[0]["n"].(json.Number).Float64()
	require.NoError(t, err)
	require.Positive(t, want)
	require.InDelta(t, want, total, 1e-6*want)
}

func TestDatasetteMetadata(t *testing.T) {
	var metadata struct {
		Databases map[string]struct {
			Tables  map[string]struct{ Description string }
			Queries map[string]struct{ Title, SQL string }
		}
	}
	readJSONFile(t, "docs/datasette-metadata.json", &metadata)
	path := trafficFile(t)
	database, found := metadata.Databases["spanbucket"]
	require.True(t, found)
	for name, table := range database.Tables {
		require.NotEmpty(t, table.Description, name)
		require.NotEmpty(t, shell(t, path, "SELECT name FROM sqlite_schema WHERE name = '"+name+"'"), name)
	}
	for _, relation := range shell(t, path, "SELECT name FROM sqlite_schema WHERE type = 'view'") {
		require.Contains(t, database.Tables, relation["name"], "a relation without a description")
	}
	for _, heading := range regexp.MustCompile("(?m)^## `([a-z_]+)`$").FindAllStringSubmatch(readPage(t, "docs/schema.md").text, -1) {
		require.Contains(t, database.Tables, heading[1], "a relation without a description")
	}
	require.GreaterOrEqual(t, len(database.Queries), 5)
	parameter := regexp.MustCompile(`:[a-z_]+\b`)
	for name, q := range database.Queries {
		require.NotEmpty(t, q.Title, name)
		text := strings.NewReplacer(":width_s", "'300'", ":run", "'%'").Replace(q.SQL)
		require.NotRegexp(t, parameter, text, name)
		require.NotEmpty(t, shell(t, path, text), name)
	}
}
