package storage

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// bucketSums holds, by row key, what rows that lie in one bucket add up to.
type bucketSums struct {
	start    int64 // of the bucket, Unix seconds
	rows     map[rawKey]*rowSum
	keptFrom int64 // buckets before may lack rows
	// tainted: a row in the bucket has a key that cannot be right, so that sums
	// are missing under another.
	tainted bool
}

func newBucketSums(keptFrom int64) *bucketSums {
	return &bucketSums{rows: map[rawKey]*rowSum{}, keptFrom: keptFrom}
}

func (b *bucketSums) add(key rawKey, sum *rowSum) {
	if b.rows[key] == nil {
		b.rows[key] = &rowSum{}
	}
	b.rows[key].add(sum)
	b.tainted = b.tainted || sum.badKey
}

// take returns the sum for a key and forgets it; nil where it cannot be
// compared with.
func (b *bucketSums) take(key rawKey) *rowSum {
	sum := b.rows[key]
	delete(b.rows, key)
	switch {
	case b.tainted || b.start < b.keptFrom:
		return nil
	case sum == nil:
		return &rowSum{}
	case sum.tainted:
		return nil
	}
	return sum
}

// checkBucket checks all rows of the bucket that s stands at.
func (v *verifier) checkBucket(streams []*stream, s *stream) error {
	start := s.start()
	if err := v.finishBucket(s, start); err != nil {
		return err
	}
	for s.row != nil && s.start() == start {
		if err := v.checkStreamRow(streams, s); err != nil {
			return err
		}
		if err := s.next(); err != nil {
			return err
		}
	}
	return nil
}

// finishBucket reports the sums of an earlier bucket than start for which s
// had no row.
func (v *verifier) finishBucket(s *stream, start int64) error {
	if err := v.finishSums(s, s.merged, start, ruleMerge); err != nil {
		return err
	}
	return v.finishSums(s, s.split, start, ruleSplit)
}

func (v *verifier) finishSums(s *stream, sums *bucketSums, start int64, rule string) error {
	if sums == nil || sums.start == start {
		return nil
	}
	for _, key := range slices.SortedFunc(maps.Keys(sums.rows), rawKey.compare) {
		sum := sums.take(key)
		if sum == nil || sum.cell.Counters == [aggregator.NumCounters]int64{} {
			continue
		}
		v.spoil(s)
		if s.split != nil && rule == ruleMerge {
			delete(s.split.rows, key) // the same row is missing there
		}
		row := rawRow{table: s.table, width: s.width, start: sums.start, run: key.run, category: key.category, series: key.series}
		if err := v.report(Problem{
			Relation: s.table.name, Row: row.rowName(), Rule: rule, Stored: "no row",
			Expected: fmt.Sprintf("requests = %d", sum.cell.Counters[aggregator.Requests]),
		}); err != nil {
			return err
		}
	}
	sums.start, sums.tainted = start, false
	return nil
}

// checkStreamRow checks the row that s stands at, and adds it to what wider
// rows and the headline are compared with.
func (v *verifier) checkStreamRow(streams []*stream, s *stream) error {
	r := s.row
	sum, err := v.checkRow(r)
	if err != nil {
		return err
	}
	if s.table == seriesTable {
		if err := v.checkNewest(r); err != nil {
			return err
		}
	}
	key := r.key()
	for _, compare := range []struct {
		with *bucketSums
		rule string
	}{{s.merged, ruleMerge}, {s.split, ruleSplit}} {
		if compare.with == nil {
			continue
		}
		compare.with.tainted = compare.with.tainted || sum.badKey
		expected := compare.with.take(key)
		if sum.tainted || expected == nil {
			continue
		}
		if column, stored, want := differ(&sum, expected, s.table, compare.rule); column != "" {
			sum.tainted = true
			if err := v.report(Problem{s.table.name, r.rowName(), column, compare.rule, stored, want}); err != nil {
				return err
			}
		}
	}
	if sum.tainted {
		v.spoil(s)
	}
	return v.passOn(streams, s, key, &sum)
}

// passOn adds a row to what others are compared with.
func (v *verifier) passOn(streams []*stream, s *stream, key rawKey, sum *rowSum) error {
	if s.table == headlineTable {
		v.addTotal(s.width, key, sum)
	}
	for _, other := range streams {
		switch {
		case other.table == s.table && other.width == s.wider:
			start := aggregator.BucketStart(s.row.start, other.width)
			if err := v.finishBucket(other, start); err != nil {
				return err
			}
			other.merged.add(key, sum)
		case other.table == headlineTable && s.table == seriesTable && other.width == s.width:
			if err := v.finishBucket(other, s.start()); err != nil {
				return err
			}
			facts := v.series[s.row.series]
			if facts == nil {
				other.split.tainted = true
				continue
			}
			part := *sum
			part.faultsUnknown = facts.overflowed
			n := &part.cell.Counters
			n[aggregator.OutcomeCounter(facts.outcome)] = n[aggregator.Requests]
			if facts.faulty {
				n[aggregator.Injected] = n[aggregator.Requests]
			}
			other.split.add(rawKey{run: facts.run, category: facts.category}, &part)
		}
	}
	return nil
}

// differ returns the first column in which a row differs from what it should
// be, with both values; "" for none.
func differ(stored, expected *rowSum, t *bucketTable, rule string) (column, have, want string) {
	for i := range t.counters {
		counter := aggregator.Counter(i)
		// Whether a span is late depends on the width; rows by series do not
		// count completed spans.
		if counter == aggregator.Late || counter == aggregator.Completed && rule == ruleSplit ||
			counter == aggregator.Injected && expected.faultsUnknown {
			continue
		}
		if a, b := stored.cell.Counters[i], expected.cell.Counters[i]; a != b {
			return counterColumns[i], fmt.Sprint(a), fmt.Sprint(b)
		}
	}
	for _, m := range t.measures {
		a, b := stored.measures[m.measure], expected.measures[m.measure]
		columns := m.figureColumns()
		for i, values := range [][2]int64{{a.count, b.count}, {a.sum, b.sum}, {a.min, b.min}, {a.max, b.max}} {
			if values[0] != values[1] {
				return columns[i], fmt.Sprint(values[0]), fmt.Sprint(values[1])
			}
		}
		if a.bins != b.bins {
			return m.measure.String(), fmt.Sprintf("bins with checksum %016x", a.bins), fmt.Sprintf("%016x", b.bins)
		}
	}
	if a, b := stored.cell.Slowest, expected.cell.Slowest; a != b {
		return "slowest_trace_id", hex.EncodeToString(a.TraceID[:]), hex.EncodeToString(b.TraceID[:])
	}
	return "", "", ""
}

// totalKey names a total; width 0 is what run_category says.
type totalKey struct {
	width         int64
	run, category string
}

func (k totalKey) compare(o totalKey) int {
	return cmp.Or(cmp.Compare(k.width, o.width), cmp.Compare(k.run, o.run), cmp.Compare(k.category, o.category))
}

// total is what all rows of a width, run and category add up to.
type total struct {
	requests, completed, measured int64
}

func (v *verifier) addTotal(width int64, key rawKey, sum *rowSum) {
	k := totalKey{width, key.run, key.category}
	if v.totals[k] == nil {
		v.totals[k] = &total{}
	}
	t := v.totals[k]
	t.requests += sum.cell.Counters[aggregator.Requests]
	t.completed += sum.cell.Counters[aggregator.Completed]
	t.measured += sum.measures[aggregator.MeasureDuration].count
}

// spoil keeps the totals of a width from being compared, and those of the
// narrower one, which may be what is wrong.
func (v *verifier) spoil(s *stream) {
	if s.table == headlineTable {
		v.spoiled[s.width], v.spoiled[s.narrower] = true, true
	}
}

// checkTotals compares, for every width that nothing can have been pruned of,
// the headline with what run_category says.
func (v *verifier) checkTotals(ctx context.Context) error {
	if v.values[metaEstimatedTo] != "" {
		return nil // some buckets were estimated from a sample
	}
	var oldest int64
	if err := v.tx.QueryRowContext(ctx, "SELECT coalesce(min(bucket_start), 0) FROM headline_bucket").Scan(&oldest); err != nil {
		return err
	}
	for _, w := range v.meta.Widths {
		if v.spoiled[w.Seconds] || v.mayLack(w, oldest) {
			continue
		}
		for _, key := range slices.SortedFunc(maps.Keys(v.totals), totalKey.compare) {
			want := v.totals[key]
			if key.width != 0 {
				continue
			}
			have := v.totals[totalKey{w.Seconds, key.run, key.category}]
			if have == nil {
				have = &total{}
			}
			if err := v.checkTotal(w.Seconds, key, have, want.requests); err != nil {
				return err
			}
		}
	}
	return nil
}

// mayLack tells whether spans of all time need not be in the buckets of a width,
// where the oldest bucket of the file begins at oldest.
func (v *verifier) mayLack(w Width, oldest int64) bool {
	if v.meta.SchemaVersion >= prunedSince {
		_, pruned := v.completeFrom[w.Seconds]
		return pruned
	}
	return oldest < v.keptFrom(w)
}

func (v *verifier) checkTotal(width int64, key totalKey, t *total, spans int64) error {
	p := Problem{
		Relation: headlineTable.name, Row: fmt.Sprintf("width_s=%d run_id=%q category=%q", width, key.run, key.category),
		Column: "requests", Rule: ruleTotal, Stored: fmt.Sprint(t.requests), Expected: fmt.Sprint(spans),
	}
	if t.requests != spans {
		return v.report(p)
	}
	if t.completed != t.measured {
		p.Column, p.Rule, p.Stored, p.Expected = "completed", ruleCompleted, fmt.Sprint(t.completed), fmt.Sprint(t.measured)
		return v.report(p)
	}
	return nil
}
