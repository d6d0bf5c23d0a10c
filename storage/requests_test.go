package storage

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// requestBatch is a batch of spans in full.
func requestBatch(o Options, requests ...aggregator.Request) Batch {
	d := aggregator.NewDelta(FinestWidths(o.Widths))
	for i := range requests {
		d.Fold(&requests[i].Observation)
	}
	return Batch{
		Delta: d,
		Observations: func(yield func(*aggregator.Observation) bool) {
			for i := range requests {
				if !yield(&requests[i].Observation) {
					return
				}
			}
		},
		// Like the reader of spans, it has one Request that is read anew for
		// every span.
		Requests: func(yield func(*aggregator.Request) bool) {
			var one aggregator.Request
			for i := range requests {
				if one = requests[i]; !yield(&one) {
					return
				}
			}
		},
	}
}

// request is a chat of one second that starts after anInstant; n tells it from
// others.
func request(n byte, after time.Duration) aggregator.Request {
	r := aggregator.Request{Observation: observation(after, time.Second), SpanName: "chat m"}
	r.TraceID, r.SpanID = [16]byte{1, n}, [8]byte{2, n}
	return r
}

// randomRequest is a span that says some of what a span can say.
func randomRequest(rng *rand.Rand) aggregator.Request {
	pick := func(values ...string) string {
		if rng.IntN(2) == 0 {
			return ""
		}
		return values[rng.IntN(len(values))]
	}
	r := aggregator.Request{
		Observation: observation(time.Duration(rng.Int64N(int64(time.Hour))), time.Duration(rng.Int64N(int64(time.Minute)))),
		Known:       aggregator.Fact(rng.Uint32N(1 << 9)), Role: aggregator.Role(rng.IntN(5)),
		Instance: pick("a", "b"), SpanName: pick("chat", "x\x00y", strings.Repeat("ü", 200)), ResponseModel: pick("m-1"),
		Deployment: pick("d"), Endpoint: pick("e:443"), Phase: pick("steady"), FinishReason: pick("stop", "length"),
		StatusCode: rng.Int64N(600), MessageCount: rng.Int64N(9), ToolCallID: pick("call-1", "call-2"),
		Decision: pick("accept", "reject"), DecisionSource: pick("user"), InjectedDelayNano: rng.Int64N(1e9),
		ExperimentID: pick("x-1"), Target: pick("db"), Circuit: pick("payments"),
	}
	for i := range r.TraceID {
		r.TraceID[i] = byte(1 + rng.IntN(255))
	}
	for i := range r.SpanID {
		r.SpanID[i] = byte(1 + rng.IntN(255))
		r.ParentSpanID[i] = r.SpanID[i] * byte(rng.IntN(2))
	}
	r.Session = pick("s-1", "s-2", "bad\xff")
	r.Series.Run, r.Series.Fault = pick("run-1"), pick("latency")
	r.Series.Category = aggregator.Category(rng.IntN(int(aggregator.NumCategories)))
	r.Series.Kind = aggregator.Kind(rng.IntN(int(aggregator.NumKinds)))
	r.Series.Model = pick("m", "m\x00", strings.Repeat("long", 100))
	if rng.IntN(10) == 0 {
		r.EndUnixNano = 0
		r.Observation = withoutDuration(r.Observation)
	}
	if rng.IntN(2) == 0 {
		r.SetMeasure(aggregator.MeasureTimeToFirstToken, rng.Int64N(1e9))
	}
	if r.Usage = rng.IntN(2) == 0; r.Usage {
		r.InputTokens, r.OutputTokens, r.ReasoningTokens = rng.Int64N(9999), rng.Int64N(999), rng.Int64N(99)
		r.CacheReadTokens, r.CacheWriteTokens = rng.Int64N(99), rng.Int64N(9)
	}
	if r.Priced = rng.IntN(2) == 0; r.Priced {
		r.CostNanoUSD = rng.Int64N(1e9)
	}
	r.Resends, r.Detailed = rng.Int64N(3), true
	if rng.IntN(20) == 0 {
		r.Rejected = aggregator.RejectedNoStartTime
	}
	return r
}

func withoutDuration(o aggregator.Observation) aggregator.Observation {
	return aggregator.Observation{
		Series: o.Series, StartUnixNano: o.StartUnixNano, TraceID: o.TraceID, SpanID: o.SpanID, Session: o.Session,
		AdjustedMicro: o.AdjustedMicro,
	}
}

// rowsQuery reads request with everything spelled out, a text per row.
var rowsQuery = func() string {
	parts := make([]string, 0, 64)
	for _, c := range []string{"run_id", "service", "category", "model", "fault"} {
		parts = append(parts, "quote(s."+c+")")
	}
	for c, name := range requestColumnNames {
		if slices.Contains(dictionaryColumns, requestColumn(c)) {
			parts = append(parts, "quote((SELECT value FROM dictionary WHERE id = r."+name+"))")
		} else if requestColumn(c) != columnSeries {
			parts = append(parts, "quote(r."+name+")")
		}
	}
	return "SELECT concat_ws('|', " + strings.Join(parts, ", ") + ") FROM request AS r JOIN series AS s USING (series_id) ORDER BY 1"
}()

// What quote() makes of values.
func quotedText(text string) string {
	if text == "" {
		return "NULL"
	}
	clean, _ := aggregator.CleanText(text)
	return "'" + clean + "'"
}

func quotedNumber(n int64, present bool) string {
	if !present {
		return "NULL"
	}
	return fmt.Sprint(n)
}

func quotedID(id []byte) string { return "X'" + strings.ToUpper(hex.EncodeToString(id)) + "'" }

// expectedRow says of one span what rowsQuery says; "" for a span without a
// row.
func expectedRow(r *aggregator.Request, dropped bool) string {
	marked := r.Series.Fault != "" && r.Series.Category != aggregator.CategoryFault
	kept := int64(0)
	if !dropped {
		kept++
	}
	if marked || r.Session+r.ToolCallID+r.Decision+r.Circuit != "" || r.Role != 0 || r.Series.Category == aggregator.CategoryTool {
		kept += 2
	}
	if kept == 0 || r.Rejected != aggregator.NotRejected {
		return ""
	}
	duration, usable := r.Measure(aggregator.MeasureDuration)
	if !usable {
		duration = -1
	}
	parent := "NULL"
	if r.ParentSpanID != [8]byte{} {
		parent = quotedID(r.ParentSpanID[:])
	}
	token := func(f aggregator.Fact, n int64) string { return quotedNumber(n, r.Usage && r.Known&f != 0) }
	model, _ := aggregator.CleanText(r.Series.Model)
	parts := []string{
		"'" + r.Series.Run + "'", "'" + r.Series.Service + "'", "'" + r.Series.Category.String() + "'", "'" + model + "'",
		"'" + r.Series.Fault + "'",
		fmt.Sprint(r.StartUnixNano), quotedID(r.SpanID[:]), quotedID(r.TraceID[:]), fmt.Sprint(int(r.Series.Kind)),
		fmt.Sprint(duration), "0", fmt.Sprint(kept), quotedNumber(int64(r.Role), r.Role != 0), parent, quotedText(r.Session),
		quotedText(r.ToolCallID), quotedText(r.Decision), quotedText(r.DecisionSource),
		token(aggregator.FactInputTokens, r.InputTokens), token(aggregator.FactOutputTokens, r.OutputTokens),
		quotedNumber(r.CostNanoUSD, r.Priced), quotedNumber(1, marked), quotedText(r.Target), quotedText(r.ExperimentID),
		quotedText(r.Circuit),
	}
	if dropped {
		return strings.Join(append(parts, slices.Repeat([]string{"NULL"}, int(numRequestColumns-firstRequestOnly))...), "|")
	}
	fact := func(f aggregator.Fact, n int64) string { return quotedNumber(n, r.Known&f != 0) }
	ttft, timed := r.Measure(aggregator.MeasureTimeToFirstToken)
	return strings.Join(append(parts, quotedNumber(ttft, timed), fact(aggregator.FactInjectedDelay, r.InjectedDelayNano),
		quotedText(r.Instance), quotedText(r.SpanName), quotedText(r.ResponseModel), quotedText(r.Deployment),
		quotedText(r.Endpoint), quotedText(r.Phase), quotedText(r.FinishReason),
		fact(aggregator.FactMessageCount, r.MessageCount), fact(aggregator.FactStatusCode, r.StatusCode),
		fact(aggregator.FactResends, r.Resends), token(aggregator.FactCacheReadTokens, r.CacheReadTokens),
		token(aggregator.FactCacheWriteTokens, r.CacheWriteTokens), token(aggregator.FactReasoningTokens, r.ReasoningTokens)), "|")
}

// texts returns the first column of a query.
func texts(t *testing.T, path, query string) []string {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	out := []string{}
	require.NoError(t, eachRow(t.Context(), r, query, func(rows *sql.Rows) error {
		var text string
		out = append(out, text)
		return rows.Scan(&out[len(out)-1])
	}))
	return out
}

// expectedRows are those of all requests, as rowsQuery gives them.
func expectedRows(requests []aggregator.Request, dropped bool) []string {
	rows := []string{}
	for i := range requests {
		if row := expectedRow(&requests[i], dropped); row != "" {
			rows = append(rows, row)
		}
	}
	slices.Sort(rows)
	return rows
}

func manySeries(o Options) Options {
	o.Limits = aggregator.Limits{MaxSeries: 1 << 20, MaxRuns: 100, MaxOverflowSeries: 100}
	o.Synchronous = SynchronousNormal
	return o
}

// TestRowsEqualTheSpans compares every column with what was given, whatever the
// order, the batches, the restarts and the deliveries.
func TestRowsEqualTheSpans(t *testing.T) {
	for _, dropped := range []bool{false, true} {
		t.Run(fmt.Sprintf("dropped=%v", dropped), func(t *testing.T) {
			rng := seedtest.Rand(t)
			requests := make([]aggregator.Request, 1500)
			for i := range requests {
				requests[i] = randomRequest(rng)
			}
			o := manySeries(testOptions(t))
			o.DropRequests = dropped
			want := expectedRows(requests, dropped)
			for range 2 { // the second time is a redelivery in another order
				rng.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
				s := openStore(t, o)
				for rest := requests; len(rest) > 0; {
					n := min(len(rest), 1+rng.IntN(300))
					require.NoError(t, s.Write(t.Context(), requestBatch(o, rest[:n]...)))
					if rest = rest[n:]; rng.IntN(4) == 0 {
						require.NoError(t, s.Close())
						s = openStore(t, o)
					}
				}
				require.NoError(t, s.Close())
				require.Equal(t, want, texts(t, o.Path, rowsQuery))
			}
		})
	}
}
