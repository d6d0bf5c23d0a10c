package stress

import (
	"maps"
	"sync"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

// Outcome is how a call ended, as the file names it.
type Outcome string

// The outcomes of calls.
const (
	Success         Outcome = "success"
	RateLimited     Outcome = "rate_limited"
	CapacityError   Outcome = "capacity_error"
	ServerError     Outcome = "server_error"
	ClientError     Outcome = "client_error"
	ConnectionError Outcome = "connection_error"
	Malformed       Outcome = "malformed"
	Cancelled       Outcome = "cancelled"
	CircuitOpen     Outcome = "circuit_open"
)

// Call is what became of one call to a model, with all of its attempts.
type Call struct {
	Operation  string // chat or embeddings
	Outcome    Outcome
	Start, End time.Time
	Attempts   int // HTTP requests; 0 where the circuit was open
	// TTFT is the time to the first token of a stream; 0: there was none.
	TTFT                      time.Duration
	InputTokens, OutputTokens int64
}

// Counts is what the clients saw.
type Counts struct {
	Calls    int64
	Outcomes map[Outcome]int64
	// Attempts are HTTP requests; those after a call's first are resends.
	Attempts, Resends                 int64
	Sessions, ToolCalls, ToolFailures int64
	// Transitions of circuit breakers, by the state they went to; Trips are
	// those to open.
	Transitions               map[string]int64
	InputTokens, OutputTokens int64
	// Delayed starts of an open load came later than they were due, dropped ones
	// never.
	Delayed, Dropped int64
}

// Tally counts what clients see. It is safe for concurrent use; the zero value
// is not ready, see newTally.
type Tally struct {
	mu      sync.Mutex
	counts  Counts
	latency histogram.Histogram
	observe func(Call)
	// After most attempts, enough is called; 0: never.
	most   int64
	enough func()
}

func newTally(observe func(Call)) *Tally {
	return &Tally{observe: observe, counts: Counts{Outcomes: map[Outcome]int64{}, Transitions: map[string]int64{}}}
}

// Counts returns a copy of the counts so far.
func (t *Tally) Counts() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.counts
	c.Outcomes, c.Transitions = maps.Clone(c.Outcomes), maps.Clone(c.Transitions)
	return c
}

// Percentile returns the latency of calls at a rank; false where there are
// none. It is within 0.79 %.
func (t *Tally) Percentile(p histogram.Ratio) (time.Duration, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ns, ok := t.latency.Percentile(p)
	return time.Duration(ns), ok
}

func (t *Tally) call(c Call) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Calls++
	t.counts.Outcomes[c.Outcome]++
	t.counts.Attempts += int64(c.Attempts)
	t.counts.Resends += int64(max(c.Attempts-1, 0))
	t.counts.InputTokens += c.InputTokens
	t.counts.OutputTokens += c.OutputTokens
	if t.most > 0 && t.counts.Attempts >= t.most {
		t.enough()
	}
	if t.observe != nil {
		t.observe(c)
	}
	return t.latency.Record(c.End.UnixNano() - c.Start.UnixNano())
}

// limit calls enough after so many attempts.
func (t *Tally) limit(most int64, enough func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.most, t.enough = most, enough
}

// add changes the counts.
func (t *Tally) add(change func(*Counts)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.counts)
}
