package storage

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// objectiveSpans are spans of two minutes, some of them just as long as an
// objective allows, one nanosecond more or less, cancelled or without duration.
func objectiveSpans(rng *rand.Rand, n int) []aggregator.Request {
	all := make([]aggregator.Request, n)
	for i := range all {
		length := []time.Duration{time.Second - 1, time.Second, time.Second + 1, 2 * time.Second, 1}[rng.IntN(5)]
		r := aggregator.Request{Observation: observation(time.Duration(rng.Int64N(int64(2*time.Minute))), length)}
		if rng.IntN(5) == 0 {
			r.Observation = aggregator.Observation{
				Series: r.Series, StartUnixNano: r.StartUnixNano, AdjustedMicro: 1e6, Notes: aggregator.NoteEndBeforeStart,
			}
		} else {
			r.SetMeasure(aggregator.MeasureDuration, int64(length))
		}
		r.TraceID, r.SpanID = [16]byte(id16(uint64(i)+1)), [8]byte(id8(uint64(i)+1))
		r.Series.Run = []string{"", "a", "b"}[rng.IntN(3)]
		r.Series.Category = []aggregator.Category{aggregator.CategoryLLM, aggregator.CategoryTool, aggregator.CategoryAgent}[rng.IntN(3)]
		r.Series.Model = []string{"m", "n"}[rng.IntN(2)]
		r.Series.Outcome = []aggregator.Outcome{
			aggregator.OutcomeSuccess, aggregator.OutcomeSuccess, aggregator.OutcomeCancelled, aggregator.OutcomeServerError,
		}[rng.IntN(4)]
		all[i] = r
	}
	return all
}

// countedOf is the oracle: rows of slos, from the spans one by one.
func countedOf(o Options, spans []aggregator.Request) []string {
	type key struct {
		name, run    string
		width, start int64
	}
	counts := map[key][2]int64{}
	for i := range spans {
		s := &spans[i]
		length, timed := s.Measure(aggregator.MeasureDuration)
		for _, j := range o.Objectives {
			if s.Series.Category != j.Category || s.Series.Outcome == aggregator.OutcomeCancelled || j.Model != "" && s.Series.Model != j.Model {
				continue
			}
			good := int64(0)
			if s.Series.Outcome == aggregator.OutcomeSuccess && (j.LatencyNano == 0 || timed && length <= j.LatencyNano) {
				good = 1
			}
			for _, w := range o.Widths {
				k := key{j.Name, s.Series.Run, w.Seconds, s.StartUnixNano / 1e9 / w.Seconds * w.Seconds}
				n := counts[k]
				counts[k] = [2]int64{n[0] + good, n[1] + 1}
			}
		}
	}
	rows := []string{}
	for k, n := range counts {
		rows = append(rows, fmt.Sprintf("%s|%s|%d|%d|%d|%d", k.name, k.run, k.width, k.start, n[0], n[1]))
	}
	slices.Sort(rows)
	return rows
}

func counted(t *testing.T, path string) []string {
	t.Helper()
	rows := texts(t, path, "SELECT concat_ws('|', name, run_id, width_s, bucket_start, good, total) FROM slos")
	slices.Sort(rows)
	return rows
}

// writeSpans writes spans in batches of random sizes, and begins anew now and
// then; some batches come twice.
func writeSpans(t *testing.T, rng *rand.Rand, o Options, spans []aggregator.Request) {
	t.Helper()
	s := openStore(t, o)
	for len(spans) > 0 {
		n := min(1+rng.IntN(60), len(spans))
		b := requestBatch(o, spans[:n]...)
		for i := range spans[:n] {
			b.Fingerprints = append(b.Fingerprints, uint64(spans[i].SpanID[7])|uint64(spans[i].SpanID[6])<<8|1<<40)
		}
		times := 1
		if o.DedupMaxSpans > 0 {
			times += rng.IntN(2)
		}
		for range times {
			require.NoError(t, s.Write(t.Context(), b))
		}
		if spans = spans[n:]; rng.IntN(4) == 0 {
			require.NoError(t, s.Close())
			s = openStore(t, o)
		}
	}
	require.NoError(t, s.Close())
}

// TestObjectivesAreCountedExactly, whatever the order, the batches, restarts,
// second deliveries and the collector that received a span.
func TestObjectivesAreCountedExactly(t *testing.T) {
	rng := seedtest.Rand(t)
	spans := objectiveSpans(rng, 600)
	var paths []string
	for part := range slices.Chunk(spans, 200) {
		o := manySeries(testOptions(t))
		o.DedupWindow, o.DedupMaxSpans = time.Hour, 1000
		o.DedupSecret = "a secret of sixteen bytes"
		shuffled := slices.Clone(part)
		rng.Shuffle(len(shuffled), func(i, k int) { shuffled[i], shuffled[k] = shuffled[k], shuffled[i] })
		writeSpans(t, rng, o, shuffled)
		require.Equal(t, countedOf(o, part), counted(t, o.Path))
		require.Empty(t, verifyAll(t, o.Path))
		paths = append(paths, o.Path)
	}
	output := filepath.Join(t.TempDir(), "all.db")
	result, err := Merge(t.Context(), paths, MergeOptions{Output: output})
	require.NoError(t, err)
	want := countedOf(testOptions(t), spans)
	require.Equal(t, want, counted(t, output))
	require.Empty(t, verifyAll(t, output))
	i := slices.IndexFunc(result.Rows, func(r MergedRows) bool { return r.Relation == "slo_bucket" })
	require.EqualValues(t, len(want), result.Rows[i].Written)
}

// TestARolledBackCommitCountsNothing.
func TestARolledBackCommitCountsNothing(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	require.NoError(t, s.Write(t.Context(), requestBatch(o, request(1, 0))))
	before := counted(t, o.Path)
	require.NoError(t, s.Check(t.Context(), requestBatch(o, request(2, 0))))
	require.Equal(t, before, counted(t, o.Path))
	require.NoError(t, s.Write(t.Context(), requestBatch(o, request(3, 0))))
	require.NoError(t, s.Close())
	require.Equal(t, countedOf(o, []aggregator.Request{request(1, 0), request(3, 0)}), counted(t, o.Path))
}

// TestRebuildCountsObjectives: what was changed comes back, and an objective
// that was configured later gets its past.
func TestRebuildCountsObjectives(t *testing.T) {
	rng := seedtest.Rand(t)
	o := manySeries(testOptions(t))
	spans := objectiveSpans(rng, 400)
	writeSpans(t, rng, o, spans)
	want := counted(t, o.Path)
	for _, change := range []string{
		"DELETE FROM slo_bucket WHERE (bucket_id + slo_id) % 3 = 0",
		"UPDATE slo_bucket SET good = 0, total = total + 1 WHERE bucket_id % 2 = 0",
		"INSERT OR IGNORE INTO slo_bucket SELECT b.id, s.slo_id, 1, 1 FROM headline_bucket AS b, slo AS s WHERE b.category = 'agent'",
	} {
		exec(t, o.Path, change)
		require.NotEqual(t, want, counted(t, o.Path))
		require.NotEmpty(t, verifyAll(t, o.Path))
		dry, err := Rebuild(t.Context(), RebuildOptions{Path: o.Path, DryRun: true})
		require.NoError(t, err)
		done, err := Rebuild(t.Context(), RebuildOptions{Path: o.Path})
		require.NoError(t, err)
		require.Positive(t, done.Objectives)
		require.Equal(t, dry.Objectives, done.Objectives)
		require.Equal(t, want, counted(t, o.Path))
		require.Empty(t, verifyAll(t, o.Path))
	}
	again, err := Rebuild(t.Context(), RebuildOptions{Path: o.Path})
	require.NoError(t, err)
	require.Zero(t, again.Changed())

	o.Objectives = append(o.Objectives, aggregator.Objective{Name: "late", Category: aggregator.CategoryAgent, TargetNano: 1})
	require.NoError(t, openStore(t, o).Close())
	require.Equal(t, want, counted(t, o.Path))
	require.Empty(t, verifyAll(t, o.Path))
	_, err = Rebuild(t.Context(), RebuildOptions{Path: o.Path})
	require.NoError(t, err)
	require.Equal(t, countedOf(o, spans), counted(t, o.Path))
	require.Zero(t, one[int64](t, o.Path, "SELECT max(complete_from) FROM slo"))
	require.Empty(t, verifyAll(t, o.Path))
}

// TestObjectivesChange: another latency is another objective, another share is
// not, and what was counted stays.
func TestObjectivesChange(t *testing.T) {
	o := testOptions(t)
	clock := anInstant
	o.Now = func() time.Time { return clock }
	write := func(n byte, after time.Duration) {
		s := openStore(t, o)
		require.NoError(t, s.Write(t.Context(), requestBatch(o, request(n, after))))
		require.NoError(t, s.Close())
		clock = clock.Add(time.Hour)
	}
	slo := func() []string {
		return texts(t, o.Path, "SELECT concat_ws('|', latency_ns, objective_nano, configured, since_s, complete_from) FROM slo WHERE name = 'chat' ORDER BY latency_ns")
	}
	begin := anInstant.Unix()
	first := o.Objectives[0]
	write(1, 0)
	o.Objectives[0].TargetNano = 995_000_000
	write(2, time.Second)
	require.Equal(t, []string{fmt.Sprintf("1000000000|995000000|1|%d|0", begin+3600)}, slo())
	o.Objectives[0].LatencyNano = 2e9
	write(3, 2*time.Second)
	require.Equal(t, []string{
		fmt.Sprintf("1000000000|995000000|0|%d|0", begin+7200), fmt.Sprintf("2000000000|995000000|1|%d|%d", begin+7200, begin+3),
	}, slo())
	require.Equal(t, []string{"1000000000|2", "2000000000|1"}, texts(t, o.Path,
		"SELECT CAST(latency_ms * 1e6 AS INTEGER) || '|' || sum(total) FROM slos WHERE name = 'chat' AND width_s = 60 GROUP BY latency_ms ORDER BY latency_ms"))
	o.Objectives[0] = first
	write(4, 4*time.Second)
	require.Equal(t, fmt.Sprintf("1000000000|990000000|1|%d|%d", begin+3*3600, begin+4), slo()[0], "what came meanwhile was not counted")
	require.Empty(t, verifyAll(t, o.Path))
	var stored Options
	require.NoError(t, ReadOptions(t.Context(), o.Path, &stored))
	require.ElementsMatch(t, o.Objectives, stored.Objectives, "who adds to the file counts for the same")
}

// TestObjectivesInAnOlderFile: one of schema 5 is read, then upgraded.
func TestObjectivesInAnOlderFile(t *testing.T) {
	rng := seedtest.Rand(t)
	o := manySeries(testOptions(t))
	objectives := o.Objectives
	o.Objectives = nil
	spans := objectiveSpans(rng, 100)
	writeSpans(t, rng, o, spans)
	exec(t, o.Path, `DROP VIEW slos; DROP VIEW chaos_results; DROP TABLE chaos_result; DROP TABLE slo_bucket; DROP TABLE slo; PRAGMA user_version = 5;
		UPDATE meta SET value = '5' WHERE key = 'schema_version'`)
	require.Empty(t, verifyAll(t, o.Path))
	var stored Options
	require.NoError(t, ReadOptions(t.Context(), o.Path, &stored))
	require.Empty(t, stored.Objectives)
	o.Objectives = objectives
	later := request(200, 3*time.Minute)
	s := openStore(t, o)
	require.NoError(t, s.Write(t.Context(), requestBatch(o, later)))
	require.NoError(t, s.Close())
	require.Equal(t, countedOf(o, []aggregator.Request{later}), counted(t, o.Path))
	require.Empty(t, verifyAll(t, o.Path))
	_, err := Rebuild(t.Context(), RebuildOptions{Path: o.Path})
	require.NoError(t, err)
	require.Equal(t, countedOf(o, append(spans, later)), counted(t, o.Path))
}

// TestMergeOfDifferentObjectives: they are united, and what one file did not
// count is known.
func TestMergeOfDifferentObjectives(t *testing.T) {
	rng := seedtest.Rand(t)
	var paths []string
	for i := range 2 {
		o := manySeries(testOptions(t))
		o.Objectives[0].TargetNano += int64(i)
		if i == 1 {
			o.Objectives = o.Objectives[:2]
		}
		writeSpans(t, rng, o, objectiveSpans(rng, 100))
		paths = append(paths, o.Path)
	}
	output := filepath.Join(t.TempDir(), "all.db")
	_, err := Merge(t.Context(), paths, MergeOptions{Output: output})
	require.NoError(t, err)
	require.Equal(t, one[int64](t, paths[0], "SELECT sum(total) FROM slos")+one[int64](t, paths[1], "SELECT sum(total) FROM slos"),
		one[int64](t, output, "SELECT sum(total) FROM slos"))
	require.EqualValues(t, 990_000_001, one[int64](t, output, "SELECT objective_nano FROM slo WHERE name = 'chat'"), "of equally new ones the higher")
	end := one[int64](t, paths[1], "SELECT max(bucket_start) + 1 FROM headline_bucket WHERE width_s = 1")
	require.Equal(t, end, one[int64](t, output, "SELECT complete_from FROM slo WHERE name = 'tools'"))
	require.Zero(t, one[int64](t, output, "SELECT max(complete_from) FROM slo WHERE name <> 'tools'"))
	require.Empty(t, verifyAll(t, output))
}

// id8 and id16 are ids of spans and traces, by number.
func id8(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
func id16(n uint64) []byte {
	return append(make([]byte, 8), id8(n)...)
}
