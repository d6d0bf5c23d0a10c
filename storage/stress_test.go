package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

func stressPoison(n int) int { // 0: fine
	switch {
	case n%211 == 3:
		return 1 // panics where its request is read
	case n%211 == 7:
		return 2 // a value is refused
	}
	return 0
}

func stressBatch(basis Basis, o Options, all []int) Batch {
	requests := make([]aggregator.Request, len(all))
	fingerprints := make([]uint64, len(all))
	for i, n := range all {
		requests[i], fingerprints[i] = spanOf(n), (uint64(n)+1)*0x9e3779b97f4a7c15
		requests[i].Series.Run = basis.Run
		requests[i].Series.Operation = fmt.Sprint("op", n%7)
		requests[i].Usage, requests[i].InputTokens = true, 10
		if stressPoison(n) == 2 {
			requests[i].SpanName = "refuse me"
		}
		requests[i].Known |= aggregator.FactInputTokens
	}
	b := requestBatch(o, requests...)
	inner := b.Requests
	b.Requests = func(wanted func(span int) bool) iter.Seq[*aggregator.Request] {
		return inner(func(span int) bool {
			if stressPoison(all[span]) == 1 {
				panic("poison")
			}
			return wanted(span)
		})
	}
	b.Fingerprints, b.Basis = fingerprints, basis
	b.Refold = func(basis Basis) Batch { return stressBatch(basis, o, all) }
	return b
}

// what try does with its space: wipe once the caller has left.
func wipe(b Batch) {
	b.Delta.Reset()
	for i := range b.Fingerprints {
		b.Fingerprints[i] = 0xdead
	}
}

func deliverStress(ctx context.Context, s *Store, o Options, all []int) error {
	b := stressBatch(s.Basis(), o, all)
	err := s.Write(ctx, b)
	wipe(b)
	if err == nil || FailureOf(err) != FailurePoison {
		return err
	}
	var refused, rest []int
	var halve func(part []int) error
	halve = func(part []int) error {
		if len(part) == 0 {
			return nil
		}
		b := stressBatch(s.Basis(), o, part)
		err := s.Check(ctx, b)
		wipe(b)
		switch {
		case err == nil:
			rest = append(rest, part...)
			return nil
		case FailureOf(err) != FailurePoison:
			return err
		case len(part) == 1:
			refused = append(refused, part...)
			return nil
		}
		if err := halve(part[:len(part)/2]); err != nil {
			return err
		}
		return halve(part[len(part)/2:])
	}
	if err := halve(all); err != nil {
		return err
	}
	b = stressBatch(s.Basis(), o, rest)
	for _, n := range refused {
		b.Letters = append(b.Letters, stressLetter([]int{n}))
	}
	err = s.Write(ctx, b)
	wipe(b)
	return err
}

func stressLetter(all []int) *Letter {
	l := letterOf(all...)
	l.Fingerprints = func(Basis) []uint64 {
		f := make([]uint64, len(all))
		for i, n := range all {
			f[i] = (uint64(n) + 1) * 0x9e3779b97f4a7c15
		}
		return f
	}
	l.Payload = func(without func(int) bool) []byte {
		var b []byte
		for i, n := range all {
			if !without(i) {
				b = binary.BigEndian.AppendUint64(b, uint64(n))
			}
		}
		return b
	}
	return l
}

// TestStress: many callers with spans that overlap, short contexts, poison, runs
// that are opened and purged and letters that are tried again, all at once. What
// the writer remembers in the end is what the file holds.
func TestStress(t *testing.T) {
	rng := seedtest.Rand(t)
	o := dedupOptions(t)
	o.Limits = aggregator.Limits{MaxSeries: 4000, MaxRuns: 1000, MaxOverflowSeries: 10}
	o.MaxLetters = 100000
	s := openStore(t, o)
	execute(t, o.Path, `CREATE TRIGGER refuse BEFORE INSERT ON request WHEN new.profile_id IN (SELECT profile_id FROM request_profile WHERE span_name = 'refuse me') BEGIN SELECT RAISE(ABORT, 'refused'); END`)
	const callers, perCaller = 8, 700
	seeds := make([]uint64, callers)
	for i := range seeds {
		seeds[i] = rng.Uint64()
	}
	stop, cancel := context.WithCancel(context.Background())
	var verbs, wg sync.WaitGroup
	var purged int64
	verbs.Go(func() {
		r := rand.New(rand.NewPCG(1, seeds[0]))
		var after int64
		for stop.Err() == nil {
			switch r.IntN(5) {
			case 0:
				_, _ = OpenRun(context.Background(), o.Path, NewRun{ID: fmt.Sprint("run", r.IntN(5))})
			case 1:
				if r.IntN(6) > 0 {
					continue
				}
				if p, err := PurgeRun(context.Background(), o.Path, fmt.Sprint("run", r.IntN(5)), true); err == nil {
					purged += p.Spans
				}
			case 2:
				_, _ = RequestRetry(context.Background(), o.Path, nil)
			case 3, 4:
				ctx, done := context.WithTimeout(context.Background(), time.Duration(r.IntN(20))*time.Millisecond)
				l, found, err := s.NextDueLetter(ctx, after)
				if err == nil && found {
					after = l.ID
					n := int(binary.BigEndian.Uint64(l.Payload))
					if n%2 == 0 {
						b := stressBatch(s.Basis(), o, []int{n})
						b.Refold = nil
						if stressPoison(n) == 1 {
							span := spanOf(n)
							span.Series.Run, span.Series.Operation = s.Basis().Run, fmt.Sprint("op", n%7)
							span.Usage, span.InputTokens = true, 10
							b.Requests = requestBatch(o, span).Requests
						}
						_ = s.WriteAgain(ctx, &l, b)
						b.Delta.Reset()
					} else {
						_ = s.FailedAgain(ctx, &l, FailurePoison, "x")
					}
				} else {
					after = 0
				}
				done()
			}
			time.Sleep(time.Duration(r.IntN(8)) * time.Millisecond)
		}
	})
	fails := make([]map[Failure]int, callers)
	for c := range callers {
		wg.Go(func() {
			fails[c] = map[Failure]int{}
			r := rand.New(rand.NewPCG(2, seeds[c]))
			acked, at := 0, 0
			for at < perCaller {
				n := min(1+r.IntN(60), perCaller-at)
				batch := make([]int, 0, 2*n)
				for i := range n {
					batch = append(batch, c*perCaller/2+at+i) // neighbours overlap
				}
				for range r.IntN(n) { // spans that are known, and twice within
					batch = append(batch, c*perCaller/2+r.IntN(at+n))
				}
				r.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
				for {
					ctx, done := context.WithTimeout(context.Background(), time.Duration(1+r.IntN(40))*time.Millisecond)
					if r.IntN(3) == 0 {
						ctx = context.Background()
					}
					err := deliverStress(ctx, s, o, batch)
					done()
					if err == nil {
						break
					}
					fails[c][FailureOf(err)]++
					if f := FailureOf(err); f != FailureCancelled && f != FailureContention {
						t.Errorf("%v: %v", f, err)
						return
					}
				}
				acked++
				at += n
			}
		})
	}
	wg.Wait()
	cancel()
	verbs.Wait()
	requireSameMemory(t, s)
	require.NoError(t, s.Close())
	total := (callers-1)*perCaller/2 + perCaller
	poison := 0
	for n := range total {
		if stressPoison(n) > 0 {
			poison++
		}
	}
	ledger := ledgerOf(t, o.Path)
	t.Log(total, poison, ledger, purged, fails)
	require.EqualValues(t, total, ledger["folded"]+ledger["dead_letter"])
	require.EqualValues(t, ledger["received"], ledger["folded"]+ledger["dead_letter"]+ledger["duplicate"])
	left := one[int64](t, o.Path, spansInBuckets)
	require.EqualValues(t, ledger["folded"], left+purged)
	require.EqualValues(t, left, one[int64](t, o.Path, "SELECT coalesce(sum(requests),0) FROM latency WHERE width_s = 10"))
	require.EqualValues(t, left*10, one[int64](t, o.Path, "SELECT coalesce(sum(input_tokens),0) FROM latency WHERE width_s = 10"), "tokens; letters that came again have none")
	require.Equal(t, left, one[int64](t, o.Path, "SELECT count(*) FROM request"))
	require.Equal(t, left, one[int64](t, o.Path, "SELECT count(DISTINCT span_id) FROM request"))
	require.Empty(t, problemsOf(t, o.Path))
}

// requireSameMemory compares what the writer remembers with the file.
func requireSameMemory(t *testing.T, s *Store) {
	t.Helper()
	require.NoError(t, s.do(t.Context(), func(ctx context.Context, w *writer) error {
		var errs []error
		for _, b := range w.live.buckets {
			for _, r := range b.rows {
				_, cell, err := w.statements[r.bucket.table].load(ctx, r.bucket, r.key)
				if r.stored != (err == nil) {
					errs = append(errs, fmt.Errorf("%v %v: stored %v, but %w", r.bucket, r.key, r.stored, err))
					continue
				}
				if r.stored && (cell.Counters != r.cell.Counters) {
					errs = append(errs, fmt.Errorf("%v: %v %v", r.bucket, cell.Counters, r.cell.Counters))
				}
			}
		}
		var n int
		for _, content := range storedFingerprints(ctx, w) {
			for _, f := range appendFingerprints(nil, content) {
				n++
				if !w.fingerprints.window.Has(f) {
					errs = append(errs, fmt.Errorf("%x is not remembered", f))
				}
			}
		}
		if n != w.fingerprints.window.Len() {
			errs = append(errs, fmt.Errorf("%d in the file, %d in memory", n, w.fingerprints.window.Len()))
		}
		return errors.Join(errs...)
	}))
}

func storedFingerprints(ctx context.Context, w *writer) (all [][]byte) {
	rows, err := w.conn.QueryContext(ctx, "SELECT fingerprints FROM fingerprint")
	if err != nil {
		panic(err)
	}
	defer rows.Close()
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			panic(err)
		}
		all = append(all, b)
	}
	return all
}
