package storage

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
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
	d := aggregator.NewDelta(FinestWidths(o.Widths), o.Objectives...)
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
		Requests: reading(func(yield func(*aggregator.Request) bool) {
			var one aggregator.Request
			for i := range requests {
				if one = requests[i]; !yield(&one) {
					return
				}
			}
		}),
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
	r.Resends, r.Details = rng.Int64N(3), everyDetail
	if rng.IntN(8) == 0 {
		r.AdjustedMicro = rng.Int64N(1e9)
	}
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
		if c := requestColumn(c); c != columnSeries && c != columnProfile {
			parts = append(parts, "quote(r."+name+")")
		}
	}
	for _, name := range profileColumns {
		parts = append(parts, "quote(p."+name+")")
	}
	return "SELECT concat_ws('|', " + strings.Join(parts, ", ") + ") FROM request AS r JOIN series AS s USING (series_id)" +
		" LEFT JOIN request_profile AS p USING (profile_id) ORDER BY 1"
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

// expectedRow says of one span what rowsQuery says, where it is kept as a
// request by these bits, 0 for none, and has this weight; "" for a span without
// a row.
func expectedRow(r *aggregator.Request, kept, weightMicro int64) string {
	marked := r.Series.Fault != "" && r.Series.Category != aggregator.CategoryFault
	dropped := kept == 0
	if r.Session+r.ToolCallID+r.Decision != "" || r.Role != 0 || r.Series.Category == aggregator.CategoryTool {
		kept += 2
	}
	if marked || r.Circuit != "" {
		kept += 4
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
	const none = "NULL"
	text := func(value string, of int64) string { // where the row is kept as one of these
		if kept&of == 0 {
			return none
		}
		return quotedText(value)
	}
	fact := func(f aggregator.Fact, n int64) string { return quotedNumber(n, !dropped && r.Known&f != 0) }
	used := func(f aggregator.Fact, n int64) string { return quotedNumber(n, r.Usage && r.Known&f != 0) }
	ttft, timed := r.Measure(aggregator.MeasureTimeToFirstToken)
	model, _ := aggregator.CleanText(r.Series.Model)
	instance := text(r.Instance, 1)
	if r.Circuit != "" {
		instance = quotedText(r.Instance)
	}
	cached := func(f aggregator.Fact, n int64) string { return quotedNumber(n, !dropped && r.Usage && r.Known&f != 0) }
	return strings.Join([]string{
		"'" + r.Series.Run + "'", "'" + r.Series.Service + "'", "'" + r.Series.Category.String() + "'", "'" + model + "'",
		"'" + r.Series.Fault + "'",
		fmt.Sprint(r.StartUnixNano), fmt.Sprint(duration), quotedID(r.TraceID[:]), quotedID(r.SpanID[:]), fmt.Sprint(kept), parent,
		text(r.Session, 3), used(aggregator.FactInputTokens, r.InputTokens), used(aggregator.FactOutputTokens, r.OutputTokens),
		quotedNumber(r.CostNanoUSD, r.Priced), quotedNumber(ttft, timed && !dropped), quotedNumber(weightMicro, !dropped && weightMicro != 1e6),
		quotedNumber(int64(r.Role), r.Role != 0 && kept&3 != 0), text(r.ToolCallID, 3), quotedNumber(1, marked),
		fact(aggregator.FactInjectedDelay, r.InjectedDelayNano), fact(aggregator.FactMessageCount, r.MessageCount),
		fact(aggregator.FactResends, r.Resends), cached(aggregator.FactCacheReadTokens, r.CacheReadTokens),
		cached(aggregator.FactCacheWriteTokens, r.CacheWriteTokens), cached(aggregator.FactReasoningTokens, r.ReasoningTokens),
		quotedNumber(r.AdjustedMicro, !dropped && r.AdjustedMicro != 1e6),
		text(r.SpanName, 1), text(r.ResponseModel, 1), text(r.Deployment, 1), text(r.Endpoint, 1), text(r.Phase, 1),
		text(r.FinishReason, 1), fact(aggregator.FactStatusCode, r.StatusCode), instance, text(r.Decision, 3),
		text(r.DecisionSource, 3), quotedText(r.Target), quotedText(r.ExperimentID), quotedText(r.Circuit),
	}, "|")
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
		kept := int64(keptAsRequest)
		if r := &requests[i]; dropped {
			kept = 0
		} else if r.Series.Outcome != aggregator.OutcomeSuccess || r.Series.Fault != "" {
			kept += keptForCause
		}
		if row := expectedRow(&requests[i], kept, 1e6); row != "" {
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
// order, the batches and the restarts.
func TestRowsEqualTheSpans(t *testing.T) {
	for _, dropped := range []bool{false, true} {
		t.Run(fmt.Sprintf("dropped=%v", dropped), func(t *testing.T) {
			rng := seedtest.Rand(t)
			requests := make([]aggregator.Request, 1500)
			for i := range requests {
				requests[i] = randomRequest(rng)
			}
			want := expectedRows(requests, dropped)
			for range 2 {
				o := manySeries(testOptions(t))
				if dropped {
					o.Sampling = none
				}
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

// TestEverySpanThatIsFoldedHasARow, as the buckets count it: whether one has
// been here before, deduplication decides.
func TestEverySpanThatIsFoldedHasARow(t *testing.T) {
	o := testOptions(t)
	anonymous, halfNamed := request(1, 0), request(2, 0)
	anonymous.TraceID, anonymous.SpanID = [16]byte{}, [8]byte{}
	halfNamed.TraceID = [16]byte{}
	for range 2 {
		s := openStore(t, o)
		require.NoError(t, s.Write(t.Context(), requestBatch(o, anonymous, anonymous, halfNamed, request(3, 0))))
		require.NoError(t, s.Close())
	}
	require.Equal(t, []string{"0000000000000000|4", "0202000000000000|2", "0203000000000000|2"}, texts(t, o.Path,
		"SELECT hex(span_id) || '|' || count(*) FROM request GROUP BY span_id ORDER BY 1"))
	require.EqualValues(t, 4, one[int64](t, o.Path, "SELECT count(*) FROM requests WHERE trace_id IS NULL AND span_id IS NULL"))
}

// TestRejectedSpansHaveNoRows: neither those that the batch rejected, nor those
// that do not fit into a row of the file.
func TestRejectedSpansHaveNoRows(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	expensive := func(n byte, nano int64) aggregator.Request {
		r := request(n, 0)
		r.Priced, r.CostNanoUSD = true, nano
		return r
	}
	early := expensive(9, 1)
	early.Rejected = aggregator.RejectedNoStartTime
	batch := requestBatch(o, expensive(1, math.MaxInt64-100), expensive(2, 101), early, expensive(3, 50))
	require.EqualValues(t, 1, batch.Delta.Rejected(aggregator.RejectedOverflow))
	require.NoError(t, s.Write(t.Context(), batch))
	require.NoError(t, s.Write(t.Context(), requestBatch(o, expensive(4, 51), expensive(5, 30), early, expensive(6, 21), expensive(7, 20))))
	require.Equal(t, []string{"0201000000000000", "0203000000000000", "0205000000000000", "0207000000000000"},
		texts(t, o.Path, "SELECT hex(span_id) FROM request ORDER BY 1"))
	require.EqualValues(t, 4, one[int64](t, o.Path, "SELECT spans FROM ledger WHERE reason = 'folded'"))
}

// TestRowsOfAGroup: batches that are committed together keep the rows of each.
func TestRowsOfAGroup(t *testing.T) {
	o := testOptions(t)
	begun, proceed := make(chan struct{}), make(chan struct{})
	commits := 0
	o.OnCommit = func(Commit) {
		if commits++; commits == 1 {
			close(begun)
			<-proceed
		}
	}
	s := openStore(t, o)
	const batches = 8
	errs := make(chan error, batches)
	write := func(i byte) {
		errs <- s.Write(context.Background(), requestBatch(o, request(i, 0), request(100+i, time.Second)))
	}
	go write(0)
	<-begun
	for i := byte(1); i < batches; i++ {
		go write(i)
	}
	require.Eventually(t, func() bool { return waitingBatches(s) == batches-1 }, time.Minute, time.Millisecond)
	close(proceed)
	for range batches {
		require.NoError(t, <-errs)
	}
	require.NoError(t, s.Close())
	require.Equal(t, 2, commits)
	require.EqualValues(t, 2*batches, one[int64](t, o.Path, "SELECT count(*) FROM request"))
	require.EqualValues(t, 1, one[int64](t, o.Path, "SELECT count(*) FROM request_profile"))
}

// TestRequestsAreReadOnlyWhereRowsAreKept: walking a batch again costs.
func TestRequestsAreReadOnlyWhereRowsAreKept(t *testing.T) {
	o := testOptions(t)
	o.Sampling = none
	s := openStore(t, o)
	plain := requestBatch(o, request(1, 0))
	plain.Requests = reading(func(func(*aggregator.Request) bool) { t.Error("read in full") })
	require.NoError(t, s.Write(t.Context(), plain))
	detailed := request(2, 0)
	detailed.Session, detailed.Details = "s", aggregator.DetailsOfSession
	require.NoError(t, s.Write(t.Context(), requestBatch(o, request(3, 0), detailed)))
	require.Equal(t, []string{"0202000000000000|2|s"}, texts(t, o.Path, "SELECT concat_ws('|', hex(span_id), kept, session_id, profile_id) FROM request"))
	require.Zero(t, one[int64](t, o.Path, "SELECT count(*) FROM requests"))
	require.Equal(t, "0", one[string](t, o.Path, "SELECT value FROM meta WHERE key = 'keep_requests'"))
}

// TestDropSessions: what sessions are made of is not kept, what windows and
// circuits are made of is.
func TestDropSessions(t *testing.T) {
	o := testOptions(t)
	o.Sampling, o.DropSessions = none, true
	s := openStore(t, o)
	session := request(1, 0)
	session.Session, session.Role, session.Details = "s", aggregator.RoleTurn, aggregator.DetailsOfSession
	batch := requestBatch(o, session)
	batch.Requests = reading(func(func(*aggregator.Request) bool) { t.Error("read in full") })
	require.NoError(t, s.Write(t.Context(), batch))
	marked, broken := request(2, 0), request(3, 0)
	marked.Session, marked.Series.Fault, marked.Details = "s", "latency", everyDetail
	broken.Circuit, broken.Details = "c", everyDetail
	require.NoError(t, s.Write(t.Context(), requestBatch(o, session, marked, broken)))
	require.Equal(t, []string{"0202000000000000 4", "0203000000000000 4"}, texts(t, o.Path, "SELECT hex(span_id) || ' ' || kept FROM request ORDER BY 1"))
}

// TestDroppedSessionsLeaveNoTrace but in the rows of requests, of which the
// session is a part.
func TestDroppedSessionsLeaveNoTrace(t *testing.T) {
	r := request(1, 0)
	r.Session, r.ToolCallID, r.Role, r.Decision, r.DecisionSource = "s", "call", aggregator.RoleToolCall, "accept", "user"
	r.Series.Fault, r.Circuit, r.Instance, r.Details = "latency", "c", "host-1", everyDetail
	r.Evaluations = []aggregator.Evaluation{{AtUnixNano: 5, Name: "helpful"}}
	unmarked := r
	unmarked.Series.Fault, unmarked.Circuit, unmarked.SpanID[1], unmarked.Evaluations = "", "", 9, nil
	for name, c := range map[string]struct {
		dropRequests, dropSessions bool
		rows, evaluations          []string
	}{
		"all":         {false, false, []string{"15|s|call|2|accept|user|c|host-1", "3|s|call|2|accept|user|NULL|host-1"}, []string{"s"}},
		"no requests": {true, false, []string{"6|s|call|2|accept|user|c|host-1", "2|s|call|2|accept|user|NULL|NULL"}, []string{"s"}},
		"no sessions": {false, true, []string{"13|s|call|2|accept|user|c|host-1", "1|s|call|2|accept|user|NULL|host-1"}, []string{"none"}},
		"neither":     {true, true, []string{"4|NULL|NULL|NULL|NULL|NULL|c|host-1"}, []string{"none"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			if o.DropSessions = c.dropSessions; c.dropRequests {
				o.Sampling = none
			}
			s := openStore(t, o)
			require.NoError(t, s.Write(t.Context(), requestBatch(o, r, unmarked)))
			require.NoError(t, s.Close())
			require.Equal(t, c.rows, texts(t, o.Path, "SELECT concat_ws('|', kept, coalesce(session_id, 'NULL'), coalesce(tool_call_id, 'NULL'), "+
				"coalesce(role, 'NULL'), coalesce(decision, 'NULL'), coalesce(decision_source, 'NULL'), coalesce(circuit, 'NULL'), "+
				"coalesce(instance, 'NULL')) FROM request LEFT JOIN request_profile USING (profile_id) ORDER BY hex(span_id)"))
			require.Equal(t, c.evaluations, texts(t, o.Path, "SELECT coalesce(session_id, 'none') FROM evaluation"))
			require.Empty(t, verifyAll(t, o.Path))
		})
	}
}

// TestOnlyDecisionsAreDecisions: nothing else is stored as one.
func TestOnlyDecisionsAreDecisions(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	var requests []aggregator.Request
	for i, decision := range []string{"accept", "reject", "auto", "modify", "Accept", "perhaps"} {
		r := request(byte(i), 0)
		r.Decision, r.Details = decision, everyDetail
		requests = append(requests, r)
	}
	require.NoError(t, s.Write(t.Context(), requestBatch(o, requests...)))
	require.Equal(t, []string{"accept", "reject", "auto", "modify", "none", "none"},
		texts(t, o.Path, "SELECT coalesce(decision, 'none') FROM requests ORDER BY span_id"))
}

// TestZeroIsNotNone: a span that says 0 differs from one that does not say.
func TestZeroIsNotNone(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	zero, none := request(1, 0), request(2, 0)
	zero.Priced, zero.Usage, zero.Known = true, true, aggregator.FactInputTokens|aggregator.FactInjectedDelay
	zero.SetMeasure(aggregator.MeasureTimeToFirstToken, 0)
	zero.Details = everyDetail
	zero.Evaluations = []aggregator.Evaluation{{AtUnixNano: 1, Scored: true}, {AtUnixNano: 2, Score: 5}}
	require.NoError(t, s.Write(t.Context(), requestBatch(o, zero, none)))
	require.Equal(t, []string{"0|0|0|0", "NULL|NULL|NULL|NULL"}, texts(t, o.Path, "SELECT concat_ws('|', quote(cost_nano_usd), "+
		"quote(input_tokens), quote(injected_delay_ns), quote(ttft_ns)) FROM request ORDER BY span_id"))
	require.Equal(t, []string{"0.0", "NULL"}, texts(t, o.Path, "SELECT quote(score) FROM evaluation ORDER BY at_ns"))
}

// verifyAll returns the problems of a file.
func verifyAll(t *testing.T, path string) (problems []string) {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	for p, err := range r.Verify(t.Context()) {
		require.NoError(t, err)
		problems = append(problems, p.String())
	}
	return problems
}

// everyDetail makes a batch be read in full.
const everyDetail = aggregator.DetailsOfSession | aggregator.DetailsOfEvents

// TestRowsNameTheSeriesTheyAreCountedIn also where a cap is reached, and where
// no width is kept by series.
func TestRowsNameTheSeriesTheyAreCountedIn(t *testing.T) {
	o := testOptions(t)
	o.Limits = aggregator.Limits{MaxSeries: 1, MaxRuns: 1, MaxOverflowSeries: 10}
	requests := []aggregator.Request{request(1, 0), request(2, 0), request(3, 0), request(4, 0)}
	requests[1].Series.Model, requests[2].Series.Run = "n", "second"
	requests[3].Series.Model = "m\x00"
	byWidth := map[string]Options{"series": o, "headline": o}
	headline := testOptions(t)
	headline.Limits, headline.Widths = o.Limits, []Width{{Seconds: 1, Detail: DetailHeadline}}
	byWidth["headline"] = headline
	for name, o := range byWidth {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, o)
			require.NoError(t, s.Write(t.Context(), requestBatch(o, requests...)))
			require.NoError(t, s.Close())
			require.Equal(t, []string{"|m", "|__overflow__", "__overflow__|__overflow__", "|__overflow__"},
				texts(t, o.Path, "SELECT run_id || '|' || model FROM request JOIN series USING (series_id) ORDER BY span_id"))
			require.EqualValues(t, 4, one[int64](t, o.Path, "SELECT count(*) FROM requests"))
		})
	}
	require.Equal(t, []string{"__overflow__|1", "|1", "|2"}, texts(t, o.Path,
		"SELECT run_id || '|' || requests FROM latency WHERE width_s = 60 ORDER BY 1"))
}

// TestFailedCommitLeavesNoRows, nor a memory of texts and facts that the file
// does not have.
func TestFailedCommitLeavesNoRows(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	r := request(1, 0)
	r.Series.Run, r.RunFacts.Mode = "run-1", "load"
	exec(t, o.Path, "CREATE TRIGGER no BEFORE INSERT ON request BEGIN SELECT RAISE(ABORT, 'no room'); END")
	require.ErrorContains(t, s.Write(t.Context(), requestBatch(o, r)), "write request: constraint failed: no room")
	require.Zero(t, one[int64](t, o.Path, "SELECT (SELECT count(*) FROM request) + (SELECT count(*) FROM request_profile) + (SELECT count(*) FROM run)"))
	exec(t, o.Path, "DROP TRIGGER no")
	require.NoError(t, s.Write(t.Context(), requestBatch(o, r)))
	require.Equal(t, []string{"chat m|load"}, texts(t, o.Path, "SELECT span_name || '|' || mode FROM requests JOIN runs USING (run_id)"))
	// Nor of what somebody else has taken away.
	exec(t, o.Path, "DELETE FROM request; DELETE FROM request_profile; UPDATE run SET mode = NULL")
	require.NoError(t, s.Write(t.Context(), requestBatch(o, r)))
	require.Equal(t, []string{"chat m|load"}, texts(t, o.Path, "SELECT span_name || '|' || mode FROM requests JOIN runs USING (run_id)"))
}

// TestNotesOfRowsCountSpans: a span whose texts had to be changed counts once
// for each reason, whether in its series or in its row.
func TestNotesOfRowsCountSpans(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	inRow, inBoth := request(1, 0), request(2, 0)
	inRow.SpanName, inRow.Session, inRow.Endpoint = "a\xff", "b\xff", "c\x00"
	inBoth.SpanName, inBoth.Series.Model = "a\xff", "m\xff"
	require.NoError(t, s.Write(t.Context(), requestBatch(o, inRow, inBoth)))
	require.Equal(t, []string{"invalid_utf8 2", "nul_byte 1"}, texts(t, o.Path, "SELECT reason || ' ' || spans FROM notes ORDER BY 1"))
	require.EqualValues(t, 1, one[int64](t, o.Path, "SELECT count(*) FROM request_profile WHERE span_name = 'a\uFFFD' AND endpoint IS NULL"))
}

// TestProfilesAreBounded: the writer forgets, and what is in use stays.
func TestProfilesAreBounded(t *testing.T) {
	p := newProfiles()
	often := &profile{status: 1}
	for i := range int64(5 * maxProfiles) {
		p.remember(&profile{status: i + 2}, &knownProfile{id: i})
		if i%1000 == 0 {
			if p.find(often) == nil {
				require.Zero(t, i, "forgotten")
				p.remember(often, &knownProfile{id: -1})
			}
		}
	}
	require.LessOrEqual(t, len(p.young)+len(p.old), 2*maxProfiles)
	require.Nil(t, p.find(&profile{status: 2}))
}

// TestProfilesThatNobodyRemembers are found in the file.
func TestProfilesThatNobodyRemembers(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	require.NoError(t, s.Write(t.Context(), requestBatch(o, request(1, 0))))
	s.writer.profiles = newProfiles()
	other := request(2, 0)
	other.SpanName = "other"
	require.NoError(t, s.Write(t.Context(), requestBatch(o, other, request(3, 0))))
	require.Equal(t, []string{"chat m 2", "other 1"}, texts(t, o.Path, "SELECT span_name || ' ' || count(*) FROM requests GROUP BY span_name ORDER BY 1"))
	require.EqualValues(t, 2, one[int64](t, o.Path, "SELECT count(*) FROM request_profile"))
}

// TestProfilesKnowTheirNewestSpan, whatever the order and the restarts.
func TestProfilesKnowTheirNewestSpan(t *testing.T) {
	o := testOptions(t)
	hours := []int64{3, 1, 7, 5, 7, 8}
	for _, h := range hours {
		s := openStore(t, o)
		require.NoError(t, s.Write(t.Context(), requestBatch(o, request(1, time.Duration(h)*time.Hour), request(2, time.Hour))))
		require.NoError(t, s.Close())
	}
	newest := endOfHour(anInstant.Add(8 * time.Hour).UnixNano())
	require.Equal(t, newest, one[int64](t, o.Path, "SELECT newest_s FROM request_profile"))
	require.Zero(t, newest%3600)
	require.Greater(t, newest, anInstant.Add(8*time.Hour).Unix())
}

// TestIDsOfProfiles are as the documentation says, and the same in SQL.
func TestIDsOfProfiles(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	r := request(1, 0)
	r.SpanName, r.Known, r.StatusCode = "chat", aggregator.FactStatusCode, 429
	require.NoError(t, s.Write(t.Context(), requestBatch(o, r)))
	written := "\x00\x00\x00\x04chat" + strings.Repeat("\x00\x00\x00\x00", 5) + "\x00\x00\x00\x03429" + strings.Repeat("\x00\x00\x00\x00", 6)
	sum := sha256.Sum256([]byte(written))
	require.EqualValues(t, binary.BigEndian.Uint64(sum[:8])>>1, one[int64](t, o.Path, "SELECT profile_id FROM request_profile"))
	require.Empty(t, verifyAll(t, o.Path))
}

// TestManyShapes: spans that differ in what they say need no more than a few
// statements.
func TestManyShapes(t *testing.T) {
	rng := seedtest.Rand(t)
	o := manySeries(testOptions(t))
	s := openStore(t, o)
	requests := make([]aggregator.Request, 400)
	for i := range requests {
		requests[i] = randomRequest(rng)
	}
	require.NoError(t, s.Write(t.Context(), requestBatch(o, requests...)))
	require.LessOrEqual(t, len(s.writer.requests.shapes), maxShapes+1)
	for _, shape := range s.writer.requests.shapes {
		require.Empty(t, shape.args, "nothing is held once it is written")
	}
}
