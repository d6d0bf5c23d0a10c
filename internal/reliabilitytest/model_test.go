package reliabilitytest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// model is what a file must say, folded from the distinct spans that were sent
// into plain maps.
type model struct {
	spans      int64
	timeseries map[modelKey]*modelRow
	latency    map[modelKey]*modelRow
}

// modelKey names a row; the last line is of latency only.
type modelKey struct {
	width, bucket                                        int64
	run, category                                        string
	service, operation, model, outcome, errorType, fault string
}

func (k modelKey) String() string {
	return fmt.Sprintf("%d s from %d, %q", k.width, k.bucket, []string{
		k.run, k.category, k.service, k.operation, k.model, k.outcome, k.errorType, k.fault,
	})
}

type modelRow struct {
	requests, injected, completed int64
	outcomes                      map[string]int64
	durations, firsts             []int64
	usage, input, output          int64
	sorted                        bool
}

// defaultWidths are those of the default configuration, in seconds; latency
// has all but the finest.
var defaultWidths = []int64{1, 10, 300, 3600}

func newModel() *model {
	return &model{timeseries: map[modelKey]*modelRow{}, latency: map[modelKey]*modelRow{}}
}

// modelOf folds batches of a traffic.
func modelOf(s *traffic, batches []int) *model {
	m := newModel()
	for _, n := range batches {
		m.fold(s.batch(n))
	}
	return m
}

func (m *model) fold(calls []call) {
	m.spans += int64(len(calls))
	for i := range calls {
		c := &calls[i]
		for _, width := range defaultWidths {
			k := modelKey{width: width, bucket: bucketOf(c.start, width), run: c.run, category: c.work.category}
			rowAt(m.timeseries, k).add(c)
			if _, usable := c.duration(); usable {
				ends := k
				ends.bucket = bucketOf(c.end, width)
				rowAt(m.timeseries, ends).completed++
			}
			if width == defaultWidths[0] {
				continue
			}
			k.service, k.operation, k.model = c.service, c.operation(), c.model
			k.outcome, k.errorType, k.fault = c.outcome(), c.errorType(), c.fault
			rowAt(m.latency, k).add(c)
		}
	}
}

// bucketOf is for instants after 1970.
func bucketOf(unixNano, width int64) int64 { return unixNano / 1e9 / width * width }

func rowAt(rows map[modelKey]*modelRow, k modelKey) *modelRow {
	r := rows[k]
	if r == nil {
		r = &modelRow{outcomes: map[string]int64{}}
		rows[k] = r
	}
	return r
}

func (r *modelRow) add(c *call) {
	r.requests++
	r.outcomes[c.outcome()]++
	if c.fault != "" {
		r.injected++
	}
	if d, usable := c.duration(); usable {
		r.durations = append(r.durations, d)
	}
	if c.first != 0 {
		r.firsts = append(r.firsts, c.first)
	}
	if c.output != 0 {
		r.usage++
		r.input += 3 * c.output
		r.output += c.output
	}
}

// differences compares a file with the model, row by row, and tells of at most
// ten. nil means that they are equal.
func (m *model) differences(t *testing.T, path string) []string {
	t.Helper()
	reader := openReader(t, path)
	defer func() { require.NoError(t, reader.Close()) }()
	d := &difference{}
	m.compareLedger(t, reader, d)
	for relation, want := range map[string]map[modelKey]*modelRow{"timeseries": m.timeseries, "latency": m.latency} {
		rows := 0
		eachRow(t, reader, "SELECT * FROM "+relation, func(stored row) {
			rows++
			k := stored.modelKey(relation)
			if expected := want[k]; expected == nil {
				d.tell("%s has a row %v", relation, k)
			} else {
				expected.compare(d, fmt.Sprintf("%s %v", relation, k), stored)
			}
		})
		if rows != len(want) {
			d.tell("%s has %d rows, expected %d", relation, rows, len(want))
		}
	}
	eachRow(t, reader, `SELECT l.bucket_start, l.series_id, l.latency_count, h.binned FROM latency AS l
		LEFT JOIN (SELECT width_s, bucket_start, series_id, sum(count) AS binned FROM bins WHERE measure = 'duration' GROUP BY 1, 2, 3) AS h
		USING (width_s, bucket_start, series_id) WHERE l.latency_count <> coalesce(h.binned, 0)`, func(stored row) {
		d.tell("sum of a histogram: %v", stored)
	})
	return d.lines
}

func (m *model) compareLedger(t *testing.T, reader *storage.Reader, d *difference) {
	ledger := ledgerOf(t, reader)
	d.equal("ledger", "folded", m.spans, ledger["folded"])
	rest := ledger["received"]
	for reason, spans := range ledger {
		switch reason {
		case "received":
		case "folded", "duplicate":
			rest -= spans
		default:
			d.tell("ledger has %d spans of %s", spans, reason)
		}
	}
	d.equal("ledger", "received less folded and duplicate", 0, rest)
}

// difference collects what is not as expected.
type difference struct{ lines []string }

func (d *difference) tell(format string, args ...any) {
	if len(d.lines) < 10 {
		d.lines = append(d.lines, fmt.Sprintf(format, args...))
	}
}

func (d *difference) equal(where, what string, want int64, got any) {
	if got != want {
		d.tell("%s: %s is %v, expected %d", where, what, got, want)
	}
}

func (stored row) modelKey(relation string) modelKey {
	k := modelKey{
		width: stored["width_s"].(int64), bucket: stored["bucket_start"].(int64),
		run: stored["run_id"].(string), category: stored["category"].(string),
	}
	if relation == "latency" {
		k.service, k.operation, k.model = stored["service"].(string), stored["operation"].(string), stored["model"].(string)
		k.outcome, k.errorType, k.fault = stored["outcome"].(string), stored["error_type"].(string), stored["fault"].(string)
	}
	return k
}

func (r *modelRow) compare(d *difference, where string, stored row) {
	if !r.sorted {
		slices.Sort(r.durations)
		slices.Sort(r.firsts)
		r.sorted = true
	}
	if total, isHeadline := stored["requests_total"]; isHeadline {
		d.equal(where, "requests_total", r.requests, total)
		d.equal(where, "completed_total", r.completed, stored["completed_total"])
		for name, value := range stored {
			if outcome, ok := strings.CutPrefix(name, "requests_"); ok && outcome != "total" && outcome != "injected" {
				d.equal(where, name, r.outcomes[outcome], value)
			}
		}
	} else {
		d.equal(where, "requests", r.requests, stored["requests"])
	}
	d.equal(where, "requests_injected", r.injected, stored["requests_injected"])
	d.equal(where, "usage_count", r.usage, stored["usage_count"])
	if r.usage > 0 {
		d.equal(where, "input_tokens", r.input, stored["input_tokens"])
		d.equal(where, "output_tokens", r.output, stored["output_tokens"])
	}
	compareMeasure(d, where, stored, "latency", r.durations, 50, 90, 95, 99)
	compareMeasure(d, where, stored, "ttft", r.firsts, 50, 95, 99)
}

// compareMeasure holds count and sum to what they are, minimum and maximum too,
// and every percentile to 1/128 of the value of its rank.
func compareMeasure(d *difference, where string, stored row, name string, sorted []int64, percentiles ...int) {
	d.equal(where, name+"_count", int64(len(sorted)), stored[name+"_count"])
	if len(sorted) == 0 {
		if stored["sum_"+name+"_ns"] != nil {
			d.tell("%s: sum of no %s is %v", where, name, stored["sum_"+name+"_ns"])
		}
		return
	}
	sum := int64(0)
	for _, v := range sorted {
		sum += v
	}
	d.equal(where, "sum_"+name+"_ns", sum, stored["sum_"+name+"_ns"])
	near := func(column string, want int64, tolerance float64) {
		value, isNumber := stored[column].(float64)
		if got := value * 1e6; !isNumber || math.Abs(got-float64(want)) > tolerance+1e-3 {
			d.tell("%s: %s is %v, expected %v", where, column, stored[column], float64(want)/1e6)
		}
	}
	if _, has := stored["min_"+name+"_ms"]; has {
		near("min_"+name+"_ms", sorted[0], 0)
		near("max_"+name+"_ms", sorted[len(sorted)-1], 0)
	}
	for _, p := range percentiles {
		want := sorted[(len(sorted)*p+99)/100-1]
		near(fmt.Sprintf("p%d_%s_ms", p, name), want, float64(want)/128)
	}
}
