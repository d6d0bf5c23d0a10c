package spans_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/spantest"
	"github.com/spanbucket/spanbucketexporter/spans"
)

// TestObservationsCanBeReadAgain: whole or in part, one after the other or one
// within the other, the sequence says the same each time.
func TestObservationsCanBeReadAgain(t *testing.T) {
	batch := spantest.New(5, spantest.Wide).Batch(300, now, time.Second)
	reader := spans.NewReader(options)
	want := read(reader, batch)
	if len(want) != 300 {
		t.Fatalf("%d observations", len(want))
	}
	sequence := reader.Observations(batch, now)
	for _, stopAfter := range []int{1, 0, 7, 299, 300, 1000} {
		var got []aggregator.Observation
		for o := range sequence {
			if len(got) == stopAfter {
				break
			}
			got = append(got, *o)
		}
		if !slices.Equal(got, want[:min(stopAfter, 300)]) {
			t.Errorf("reading %d observations says something else", stopAfter)
		}
	}
	i := 0
	for outer := range sequence {
		if i == 20 {
			break
		}
		for inner := range sequence {
			if *inner != want[0] {
				t.Fatal("an inner sequence begins differently")
			}
			break
		}
		if *outer != want[i] {
			t.Fatalf("observation %d changed while another sequence was read", i)
		}
		i++
	}
	func() {
		defer func() { _ = recover() }()
		for range sequence {
			panic("the consumer fails")
		}
	}()
	if !slices.Equal(read(reader, batch), want) {
		t.Error("after a panic in a consumer the reader says something else")
	}
}

// TestReadingChangesNothing: the exporter says MutatesData: false.
func TestReadingChangesNothing(t *testing.T) {
	marshaler := &ptrace.ProtoMarshaler{}
	for _, c := range spantest.Hostile(3) {
		if c.Traces.SpanCount() > 100 {
			continue
		}
		before, err := marshaler.MarshalTraces(c.Traces)
		if err != nil {
			t.Fatal(err)
		}
		c.Traces.MarkReadOnly() // panics on a write
		read(spans.NewReader(options), c.Traces)
		after, err := marshaler.MarshalTraces(c.Traces)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(before, after) {
			t.Errorf("%s was changed", c.Name)
		}
	}
}

// TestReaderIsSafeForConcurrentUse reads different batches, and one and the
// same, from several goroutines. The race detector makes this a test.
func TestReaderIsSafeForConcurrentUse(t *testing.T) {
	reader := spans.NewReader(options)
	shared := spantest.New(1, spantest.Wide).Batch(500, now, time.Second)
	want := read(spans.NewReader(options), shared)
	sequence := reader.Observations(shared, now)
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			own := spantest.New(uint64(i), spantest.Dense).Batch(300, now, time.Second)
			alone := read(spans.NewReader(options), own)
			for range 5 {
				if !slices.Equal(read(reader, own), alone) {
					t.Error("a batch of its own is read differently")
				}
				var got []aggregator.Observation
				for o := range sequence {
					got = append(got, *o)
				}
				if !slices.Equal(got, want) {
					t.Error("the shared batch is read differently")
				}
			}
		})
	}
	wait.Wait()
}

// TestManyNamesPassThroughOneReader: a reader remembers names to save work; it
// must not mix them up, nor keep them all.
func TestManyNamesPassThroughOneReader(t *testing.T) {
	reader := spans.NewReader(spans.Options{Dimensions: []spans.Dimension{{Name: "user"}}})
	for round := range 3 {
		batch := ptrace.NewTraces()
		list := batch.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
		const n = 10_000
		list.EnsureCapacity(n)
		for i := range n {
			span := list.AppendEmpty()
			span.SetStartTimestamp(1)
			put(span.Attributes(), attributes{
				"http.request.method": "GET", "http.route": fmt.Sprint("/", round, "/", i), "user": fmt.Sprint(i % 7000),
				"error.type": fmt.Sprint("error", i%6000), "http.response.status_code": int64(200 + i%400),
			})
		}
		i := 0
		for o := range reader.Observations(batch, now) {
			route, user := fmt.Sprint("GET /", round, "/", i), fmt.Sprintf(`{"user":"%d"}`, i%7000)
			failure := fmt.Sprint("error", i%6000)
			if o.Series.Operation != route || o.Series.Dimensions != user || o.Series.ErrorType != failure {
				t.Fatalf("span %d is read as %+v", i, o.Series)
			}
			want := aggregator.OutcomeOtherError
			switch code := 200 + i%400; {
			case code == 429:
				want = aggregator.OutcomeRateLimited
			case code == 499:
				want = aggregator.OutcomeCancelled
			case code == 529:
				want = aggregator.OutcomeCapacityError
			case code >= 500:
				want = aggregator.OutcomeServerError
			case code >= 400:
				want = aggregator.OutcomeClientError
			}
			if o.Series.Outcome != want {
				t.Fatalf("span %d: %v, want %v", i, o.Series.Outcome, want)
			}
			i++
		}
	}
}

func TestEmptyBatches(t *testing.T) {
	reader := spans.NewReader(spans.Options{})
	batch := ptrace.NewTraces()
	if n := len(read(reader, batch)); n != 0 {
		t.Errorf("%d observations of nothing", n)
	}
	batch.ResourceSpans().AppendEmpty()
	batch.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	if n := len(read(reader, batch)); n != 0 {
		t.Errorf("%d observations of resources without spans", n)
	}
}
