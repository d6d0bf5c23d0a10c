package reliabilitytest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/exporter"
)

func init() { roles["load"] = load }

// loadOrder says what a child sends to its exporter.
type loadOrder struct {
	Settings   settings
	Traffic    traffic
	Goroutines int
	// First is the number of the first new batch, Most how many there are at
	// most; 0 is no bound.
	First, Most int
	// Again are batches to deliver once more, two or three at a time, their
	// spans shuffled and cut anew.
	Again []int
	// Repeat is the share of new batches after which one that was acknowledged
	// is delivered again.
	Repeat float64
	// Every is the time between two batches of a goroutine; 0 is none.
	Every time.Duration
	// AcknowledgeEarly says "ok" before the exporter did: a control.
	AcknowledgeEarly bool
}

// load is a child that runs the exporter under load. It says:
//
//	ready      the exporter has started
//	try N      batch N is about to be sent
//	ok N       batch N was acknowledged
//	again      all batches to deliver again were acknowledged
//	stopped    after the order to stop: the exporter has shut down
func load(orders *orders) error {
	l := &loader{stopped: orders.stopped}
	if err := orders.read(&l.loadOrder); err != nil {
		return err
	}
	var err error
	if l.exporter, err = startExporter(l.Settings, ""); err != nil {
		return err
	}
	say("ready")
	l.next.Store(int64(l.First))
	var senders sync.WaitGroup
	errs := make(chan error, l.Goroutines+1)
	for i := range l.Goroutines {
		senders.Go(func() { errs <- l.send(i) })
	}
	senders.Go(func() { errs <- l.sendAgain() })
	senders.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	<-l.stopped
	if err := l.exporter.Shutdown(context.Background()); err != nil {
		return fmt.Errorf("shutdown: %w", err)
	}
	say("stopped")
	return nil
}

type loader struct {
	loadOrder
	exporter exporter.Traces
	stopped  chan struct{}
	next     atomic.Int64
}

// send sends new batches until the order to stop.
func (l *loader) send(goroutine int) error {
	r := rand.New(rand.NewPCG(l.Traffic.Seed, uint64(l.First)<<8+uint64(goroutine)))
	var tick <-chan time.Time
	if l.Every > 0 {
		ticker := time.NewTicker(l.Every)
		defer ticker.Stop()
		tick = ticker.C
	}
	var sent []int
	for {
		select {
		case <-l.stopped:
			return nil
		default:
		}
		n := int(l.next.Add(1)) - 1
		if l.Most > 0 && n >= l.First+l.Most {
			return nil
		}
		say("try %d", n)
		if l.AcknowledgeEarly {
			say("ok %d", n)
		}
		if err := deliver(l.exporter, l.Traffic.batch(n)); err != nil {
			return fmt.Errorf("batch %d: %w", n, err)
		}
		if !l.AcknowledgeEarly {
			say("ok %d", n)
		}
		if sent = append(sent, n); len(sent) > 8 {
			sent = sent[1:]
		}
		if r.Float64() < l.Repeat {
			if err := l.deliverPieces(r, sent[r.IntN(len(sent))]); err != nil {
				return err
			}
		}
		if tick != nil {
			select {
			case <-tick:
			case <-l.stopped:
			}
		}
	}
}

func (l *loader) sendAgain() error {
	r := rand.New(rand.NewPCG(l.Traffic.Seed, uint64(l.First)<<8+255))
	r.Shuffle(len(l.Again), func(i, k int) { l.Again[i], l.Again[k] = l.Again[k], l.Again[i] })
	for group := range slices.Chunk(l.Again, 3) {
		if err := l.deliverPieces(r, group...); err != nil {
			return err
		}
	}
	say("again")
	return nil
}

func (l *loader) deliverPieces(r *rand.Rand, batches ...int) error {
	var calls [][]call
	for _, n := range batches {
		calls = append(calls, l.Traffic.batch(n))
	}
	for _, piece := range pieces(r, calls...) {
		if err := deliver(l.exporter, piece); err != nil {
			return fmt.Errorf("batches %v again: %w", batches, err)
		}
	}
	return nil
}

// account is what the parent has heard of a load over the lives of its
// children.
type account struct {
	mu      sync.Mutex
	traffic *traffic
	tried   map[int]bool
	acked   map[int]bool
	// owed are the batches that were tried and not acknowledged; recent are the
	// last that were, for another delivery.
	owed   map[int]bool
	recent []int
	next   int // number after the highest that was tried
}

func newAccount(s *traffic) *account {
	return &account{traffic: s, tried: map[int]bool{}, acked: map[int]bool{}, owed: map[int]bool{}}
}

// recentBatches is how many acknowledged batches are delivered again after a
// crash: those that a client can have been waiting for, and more.
const recentBatches = 6

func (a *account) hear(line string) {
	verb, number, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch verb {
	case "try":
		a.tried[n], a.owed[n] = true, true
		a.next = max(a.next, n+1)
	case "ok":
		a.acked[n] = true
		delete(a.owed, n)
		if a.recent = append(a.recent, n); len(a.recent) > recentBatches {
			a.recent = a.recent[1:]
		}
	}
}

// order is what the next child is told to do.
func (a *account) order(s settings) loadOrder {
	a.mu.Lock()
	defer a.mu.Unlock()
	again := slices.Clone(a.recent)
	for n := range a.owed {
		again = append(again, n)
	}
	slices.Sort(again)
	return loadOrder{Settings: s, Traffic: *a.traffic, Goroutines: 6, First: a.next, Again: again, Repeat: 0.2}
}

// settle notes that everything owed was delivered.
func (a *account) settle(owed []int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range owed {
		a.acked[n] = true
		delete(a.owed, n)
	}
}

// batches returns every batch that was tried, in order.
func (a *account) batches() []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]int, 0, len(a.tried))
	for n := range a.tried {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

// spans counts what was acknowledged and what was tried.
func (a *account) spans() (acked, tried int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n := range a.tried {
		size := int64(a.traffic.size(n))
		tried += size
		if a.acked[n] {
			acked += size
		}
	}
	return acked, tried
}

// counted is what a file says it has: spans folded, and the distinct spans
// among them.
func counted(t *testing.T, path string) (folded, distinct int64) {
	t.Helper()
	reader := openReader(t, path)
	defer reader.Close()
	eachRow(t, reader, "SELECT (SELECT spans FROM ledger WHERE reason = 'folded') AS folded, (SELECT count(DISTINCT span_id) FROM requests) AS kept", func(r row) {
		folded, _ = r["folded"].(int64)
		distinct = r["kept"].(int64)
	})
	return folded, distinct
}
