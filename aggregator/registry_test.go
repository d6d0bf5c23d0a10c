package aggregator_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"testing"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

const overflow = aggregator.Overflow

func name(s aggregator.Series) aggregator.NamedSeries {
	return aggregator.NamedSeries{ID: s.ID(), Series: s}
}

// resolve resolves run and series, as the writer does, and checks what holds of
// every resolution.
func resolve(t *testing.T, r *aggregator.Registry, s aggregator.Series) aggregator.Resolution {
	t.Helper()
	s.Run, _ = r.ResolveRun(s.Run)
	got := r.Resolve(name(s))
	if got.ID != got.Series.ID() {
		t.Errorf("%+v is kept under the wrong id", got.Series)
	}
	if got.Run != s.Run || got.Category != s.Category || got.Outcome != s.Outcome {
		t.Errorf("%+v is kept as %+v: run, category and outcome must stay", s, got.Series)
	}
	if got.Service != s.Service && got.Service != overflow {
		t.Errorf("%+v is kept as %+v: another service", s, got.Series)
	}
	if got.Series != s && got.Dropped == "" {
		t.Errorf("%+v is kept as %+v, and nothing says what was dropped", s, got.Series)
	}
	if again := r.Resolve(name(s)); again.NamedSeries != got.NamedSeries || again.New {
		t.Errorf("%+v is kept as %+v, and asked again as %+v, new %v", s, got.Series, again.Series, again.New)
	}
	return got
}

func generous() aggregator.Limits {
	return aggregator.Limits{MaxSeries: 1000, MaxRuns: 1000, MaxOverflowSeries: 1000}
}

// TestSeriesCap: as many series as allowed are kept as they are, before and
// after others overflow; the overflow series is new once and lies outside.
func TestSeriesCap(t *testing.T) {
	limits := generous()
	limits.MaxSeries = 3
	r := aggregator.NewRegistry(limits)
	series := func(i int) aggregator.Series {
		return aggregator.Series{Service: "shop", Operation: strconv.Itoa(i), Category: aggregator.CategoryLLM}
	}
	for i := range 3 {
		if got := resolve(t, r, series(i)); got.Series != series(i) || !got.New || got.Dropped != "" {
			t.Errorf("series %d is kept as %+v", i, got)
		}
	}
	want := series(0).Overflowed()
	for i := 3; i < 10; i++ {
		got := resolve(t, r, series(i))
		if got.Series != want || got.New != (i == 3) || got.Dropped != "operation" {
			t.Errorf("series %d is kept as %+v, want %+v", i, got, want)
		}
	}
	for i := range 3 {
		if got := resolve(t, r, series(i)); got.Series != series(i) || got.New || got.Dropped != "" {
			t.Errorf("series %d is now kept as %+v", i, got)
		}
	}
	failed := series(0)
	failed.Outcome = aggregator.OutcomeServerError
	if got := resolve(t, r, failed); got.Series != failed.Overflowed() || !got.New {
		t.Errorf("another outcome is kept as %+v", got)
	}
	if r.LiveSeries() != 3 {
		t.Errorf("%d live series", r.LiveSeries())
	}
}

// TestNoSeriesAllowed: a cap of none still counts every span.
func TestNoSeriesAllowed(t *testing.T) {
	r := aggregator.NewRegistry(aggregator.Limits{MaxRuns: 1})
	got := resolve(t, r, aggregator.Series{Service: "shop", Operation: "chat"})
	if got.Service != overflow || got.Operation != overflow || !got.New || r.LiveSeries() != 0 {
		t.Errorf("kept as %+v, %d live", got, r.LiveSeries())
	}
}

// TestDroppedDimensionIsTheWidest: the one with the most distinct values, which
// is the one that filled the cap; of equals the first in the order of the
// columns.
func TestDroppedDimensionIsTheWidest(t *testing.T) {
	columns := []string{
		"run_id", "service", "operation", "provider", "model", "tool", "agent", "error_type", "fault", "dimensions",
	}
	for i, column := range columns {
		t.Run(column, func(t *testing.T) {
			limits := generous()
			limits.MaxSeries = 20
			r := aggregator.NewRegistry(limits)
			for n := range 20 {
				// Every other dimension has five values.
				var s aggregator.Series
				for _, text := range texts(&s) {
					*text = "v" + strconv.Itoa(n%5)
				}
				*texts(&s)[i] = "w" + strconv.Itoa(n)
				resolve(t, r, s)
			}
			if got := resolve(t, r, aggregator.Series{Operation: "one more"}); got.Dropped != column {
				t.Errorf("dropped %q", got.Dropped)
			}
			if got := resolve(t, r, aggregator.Series{Operation: "and another"}); got.Dropped != column {
				t.Errorf("then dropped %q", got.Dropped)
			}
		})
	}
	limits := generous()
	limits.MaxSeries = 4
	r := aggregator.NewRegistry(limits)
	for n := range 4 {
		v := strconv.Itoa(n)
		resolve(t, r, aggregator.Series{Model: v, Tool: v, Fault: v})
	}
	if got := resolve(t, r, aggregator.Series{Fault: "f"}); got.Dropped != "model" {
		t.Errorf("of model, tool and fault %q was dropped", got.Dropped)
	}
}

// TestDroppedDimensionIsOfTheLiveSeries: neither what was asked before the cap
// was reached nor the overflow series themselves have a say.
func TestDroppedDimensionIsOfTheLiveSeries(t *testing.T) {
	limits := generous()
	limits.MaxSeries = 10
	r := aggregator.NewRegistry(limits)
	var known []aggregator.NamedSeries
	add := func(s aggregator.Series) aggregator.Resolution {
		got := resolve(t, r, s)
		if got.New {
			known = append(known, got.NamedSeries)
		}
		return got
	}
	lookalike := aggregator.Series{Operation: overflow, Provider: overflow, Model: overflow, Tool: "x"}
	add(lookalike) // has to name a dimension while there is none to blame
	for i := range 10 {
		add(aggregator.Series{Model: strconv.Itoa(i), Service: "s"})
	}
	for i := range 50 {
		if got := add(aggregator.Series{Service: strconv.Itoa(i)}); got.Dropped != "model" {
			t.Fatalf("service %d: dropped %q, want model", i, got.Dropped)
		}
	}
	r = aggregator.NewRegistry(limits)
	for _, s := range known {
		r.AddSeries(s)
	}
	if got := add(aggregator.Series{Service: "another"}); got.Dropped != "model" {
		t.Errorf("after a restart: dropped %q, want model", got.Dropped)
	}
}

// TestOverflowSeriesAreBounded: even overflow series drop their service once
// there are too many.
func TestOverflowSeriesAreBounded(t *testing.T) {
	r := aggregator.NewRegistry(aggregator.Limits{MaxSeries: 1, MaxRuns: 10, MaxOverflowSeries: 2})
	resolve(t, r, aggregator.Series{Service: "first"})
	want := []string{"s0", "s1", overflow, overflow, overflow}
	for i, service := range want {
		got := resolve(t, r, aggregator.Series{Service: "s" + strconv.Itoa(i), Operation: "x"})
		if got.Service != service || got.New != (i < 3) {
			t.Errorf("service s%d is kept as %q, new %v; want %q", i, got.Service, got.New, service)
		}
	}
	if got := resolve(t, r, aggregator.Series{Service: "s1", Operation: "y"}); got.Service != "s1" {
		t.Errorf("service s1 is now kept as %q", got.Service)
	}
	if r.LiveSeries() != 1 {
		t.Errorf("%d live series", r.LiveSeries())
	}
}

// TestRunCap: runs beyond the cap share one.
func TestRunCap(t *testing.T) {
	r := aggregator.NewRegistry(aggregator.Limits{MaxSeries: 10, MaxRuns: 2, MaxOverflowSeries: 10})
	tests := []struct {
		run, kept string
		isNew     bool
	}{
		{"", "", true}, {"a", "a", true}, {"b", overflow, true}, {"c", overflow, false}, {"a", "a", false},
		{"", "", false}, {overflow, overflow, false}, {"b", overflow, false},
	}
	for _, test := range tests {
		if kept, isNew := r.ResolveRun(test.run); kept != test.kept || isNew != test.isNew {
			t.Errorf("run %q is kept in %q, new %v; want %q, %v", test.run, kept, isNew, test.kept, test.isNew)
		}
	}
	r.AddRun("from the file")
	if kept, isNew := r.ResolveRun("from the file"); kept != "from the file" || isNew {
		t.Errorf("a run that is known is kept in %q, new %v", kept, isNew)
	}
}

// TestDimensionCap: a configured dimension keeps its first values; later ones
// share one, in a series that counts.
func TestDimensionCap(t *testing.T) {
	limits := generous()
	limits.Dimensions = []aggregator.DimensionLimit{{Name: "tier", MaxValues: 2}, {Name: "zone", MaxValues: 1}}
	r := aggregator.NewRegistry(limits)
	tests := []struct{ name, dimensions, kept, dropped string }{
		{"none", ``, ``, ""},
		{"a value that looks like a dropped one takes no place", `{"tier":"__overflow__"}`, `{"tier":"__overflow__"}`, ""},
		{"first", `{"tier":"a"}`, `{"tier":"a"}`, ""},
		{"second", `{"tier":"b"}`, `{"tier":"b"}`, ""},
		{"third", `{"tier":"c"}`, `{"tier":"__overflow__"}`, "tier"},
		{"first again", `{"tier":"a"}`, `{"tier":"a"}`, ""},
		{"another dimension has its own places", `{"tier":"a","zone":"c"}`, `{"tier":"a","zone":"c"}`, ""},
		{"the other one is full", `{"tier":"b","zone":"d"}`, `{"tier":"b","zone":"__overflow__"}`, "zone"},
		{"both are", `{"tier":"d","zone":"d"}`, `{"tier":"__overflow__","zone":"__overflow__"}`, "tier"},
		{"one without limit", `{"free":"x","tier":"a"}`, `{"free":"x","tier":"a"}`, ""},
		{"one without limit beside a full one", `{"free":"y","tier":"e"}`, `{"free":"y","tier":"__overflow__"}`, "tier"},
		{"a name that has another one in it", `{"tiers":"z"}`, `{"tiers":"z"}`, ""},
		{"escapes", `{"tier":"\u0000\"}"}`, `{"tier":"__overflow__"}`, "tier"},
		{"no JSON", `{tier}`, `{tier}`, ""},
	}
	for _, test := range tests {
		got := resolve(t, r, aggregator.Series{Dimensions: test.dimensions})
		if got.Dimensions != test.kept || got.Dropped != test.dropped {
			t.Errorf("%s: %s is kept as %s, dropped %q; want %s, %q",
				test.name, test.dimensions, got.Dimensions, got.Dropped, test.kept, test.dropped)
		}
	}
}

// TestDimensionsText: the stored form is JSON that says what went in, with
// ascending keys, whatever that was.
func TestDimensionsText(t *testing.T) {
	for want, values := range map[string]map[string]string{
		``:                         nil,
		`{"a":"1"}`:                {"a": "1"},
		`{"a":"1","b":"2"}`:        {"b": "2", "a": "1"},
		`{"":""}`:                  {"": ""},
		`{"a\"b":"\\ \n"}`:         {`a"b`: "\\ \n"},
		`{"A":"1","a":"2","é":""}`: {"é": "", "a": "2", "A": "1"},
	} {
		if got := aggregator.DimensionsText(values); got != want {
			t.Errorf("DimensionsText(%q) = %s, want %s", values, got, want)
		}
	}
	random := seedtest.Rand(t)
	for range 2000 {
		values := map[string]string{}
		for range random.IntN(6) {
			key, _ := aggregator.CleanText(randomText(random))
			values[key], _ = aggregator.CleanText(randomText(random))
		}
		text := aggregator.DimensionsText(values)
		back := map[string]string{}
		if len(values) > 0 {
			if err := json.Unmarshal([]byte(text), &back); err != nil {
				t.Fatalf("%q gives %s: %v", values, text, err)
			}
		}
		if !maps.Equal(back, values) {
			t.Fatalf("%q gives %s, which says %q", values, text, back)
		}
	}
	if got := string(aggregator.AppendDimension([]byte("{"), "a", "<&>")); got != `{"a":"\u003c\u0026\u003e"` {
		t.Errorf("AppendDimension gives %s", got)
	}
}

// TestEqualIdentifiers: of two series with one identifier the second is kept
// apart.
func TestEqualIdentifiers(t *testing.T) {
	r := aggregator.NewRegistry(generous())
	one, two := aggregator.Series{Service: "one"}, aggregator.Series{Service: "two", Operation: "x"}
	id := one.ID()
	if got := r.Resolve(aggregator.NamedSeries{ID: id, Series: one}); got.Series != one {
		t.Fatalf("the first is kept as %+v", got)
	}
	for i := range 2 {
		got := r.Resolve(aggregator.NamedSeries{ID: id, Series: two})
		if got.Series != two.Overflowed() || got.ID == id || got.New != (i == 0) || got.Dropped == "" {
			t.Errorf("the second is kept as %+v", got)
		}
	}
	if got := r.Resolve(aggregator.NamedSeries{ID: id, Series: one}); got.Series != one || got.New {
		t.Errorf("the first is now kept as %+v", got)
	}
	if r.LiveSeries() != 1 {
		t.Errorf("%d live series", r.LiveSeries())
	}
}

// TestHostileOverflowLookalikes: series that call themselves overflow series
// cannot get around the cap, nor take a place under it.
func TestHostileOverflowLookalikes(t *testing.T) {
	limits := aggregator.Limits{MaxSeries: 10, MaxRuns: 10, MaxOverflowSeries: 10}
	r := aggregator.NewRegistry(limits)
	known := map[aggregator.SeriesID]bool{}
	for i := range 5000 {
		s := aggregator.Series{Operation: overflow, Provider: overflow, Model: overflow, Service: "s", Tool: strconv.Itoa(i)}
		switch i % 4 {
		case 1:
			s.Tool, s.Dimensions = overflow, fmt.Sprintf(`{"x":"%d"}`, i)
		case 2:
			s.Service, s.Agent = strconv.Itoa(i), strconv.Itoa(i)
		case 3:
			s.Provider, s.ErrorType = "p"+strconv.Itoa(i), overflow
		}
		known[resolve(t, r, s).ID] = true
	}
	// Ten series, overflow series of ten services, and the one without.
	if r.LiveSeries() > 10 || len(known) > 10+10+1 {
		t.Errorf("%d live series, %d kept", r.LiveSeries(), len(known))
	}
	if r.LiveSeries() != 10 {
		t.Errorf("%d live series: the lookalikes took places", r.LiveSeries())
	}
}
