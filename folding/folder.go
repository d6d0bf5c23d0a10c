package folding

import (
	"context"
	"iter"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/spans"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// Store is what a Folder needs of a *storage.Store.
type Store interface {
	Basis() storage.Basis
	Write(ctx context.Context, b storage.Batch) error
	Check(ctx context.Context, b storage.Batch) error
	WriteLetters(ctx context.Context, letters []*storage.Letter) error
	CountAttempt(ctx context.Context, batchKey int64) (attempts int64, err error)
}

// SpanReader is what a Folder needs of a *spans.Reader. Tests put spans between
// that cannot be read.
type SpanReader interface {
	Observations(batch ptrace.Traces, now time.Time) iter.Seq[*aggregator.Observation]
	Requests(batch ptrace.Traces, now time.Time, wanted func(span int) bool) iter.Seq[*aggregator.Request]
	Redact(batch ptrace.Traces) ptrace.Traces
}

// Options say how a Folder works.
type Options struct {
	Settings
	// Now reads the clock.
	Now func() time.Time
	// Read makes what reads spans; nil means spans.NewReader.
	Read func(spans.Options) SpanReader
	// OnLetters is told of spans that became dead letters, and why; nil: nobody
	// is.
	OnLetters func(letters []*storage.Letter, cause error)
}

// Folder folds batches in the goroutine of the caller and waits for their
// commit. It is safe for concurrent use. Create it with New.
type Folder struct {
	store   Store
	options Options
	reader  atomic.Pointer[runReader]
	spaces  sync.Pool // of *space
}

// runReader reads spans that name no run as those of a run.
type runReader struct {
	run string
	SpanReader
}

// New returns a Folder that writes to a store. It does not close it.
func New(store Store, o Options) *Folder {
	if o.Read == nil {
		o.Read = func(o spans.Options) SpanReader { return spans.NewReader(o) }
	}
	if o.OnLetters == nil {
		o.OnLetters = func([]*storage.Letter, error) {}
	}
	f := &Folder{store: store, options: o}
	f.spaces.New = func() any { return f.newSpace() }
	return f
}

// try folds a batch and returns nil once it is durable, with its letters.
func (f *Folder) try(ctx context.Context, batch ptrace.Traces, letters []*storage.Letter) (storage.Failure, error) {
	return f.folded(batch, func(b storage.Batch) error {
		b.Letters = letters
		return f.store.Write(ctx, b)
	})
}

// check tells whether try would succeed, and stores nothing.
func (f *Folder) check(ctx context.Context, batch ptrace.Traces) (storage.Failure, error) {
	return f.folded(batch, func(b storage.Batch) error { return f.store.Check(ctx, b) })
}

// folded folds a batch and hands it to do.
func (f *Folder) folded(batch ptrace.Traces, do func(storage.Batch) error) (storage.Failure, error) {
	s := f.spaces.Get().(*space)
	defer func() {
		s.plan.Reset()
		if s.delta.Reset(); !s.delta.Oversized() && cap(s.fingerprints) <= maxKeptFingerprints {
			f.spaces.Put(s)
		}
	}()
	folded, err := f.fold(batch, f.store.Basis(), s)
	if err != nil {
		return storage.FailurePoison, err
	}
	if err := do(folded); err != nil {
		return storage.FailureOf(err), err
	}
	return 0, nil
}

// space is the memory that folding a batch takes. It is reused.
type space struct {
	delta        *aggregator.Delta
	plan         *storage.Plan
	fingerprints []uint64
}

// maxKeptFingerprints is how many are worth keeping room for.
const maxKeptFingerprints = 1 << 16

func (f *Folder) newSpace() *space {
	o := &f.options.Storage
	return &space{
		delta: aggregator.NewDelta(storage.FinestWidths(o.Widths), o.Objectives...), plan: storage.NewPlan(o.Sampling, o.DropSessions),
	}
}

// FoldLetter folds what a dead letter holds, for storage.Store.WriteAgain. The
// error is one of the letter, or a panic.
func (f *Folder) FoldLetter(letter *storage.DueLetter) (storage.Batch, error) {
	batch, err := spans.UnmarshalLetter(letter.Payload)
	if err != nil {
		return storage.Batch{}, err
	}
	return f.fold(batch, f.store.Basis(), f.newSpace())
}

// fold folds a batch into a space, which is empty. The error is a panic.
func (f *Folder) fold(batch ptrace.Traces, basis storage.Basis, s *space) (b storage.Batch, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &storage.PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	return f.mustFold(batch, basis, s), nil
}

func (f *Folder) mustFold(batch ptrace.Traces, basis storage.Basis, s *space) storage.Batch {
	now, reader := f.options.Now(), f.readerOf(basis)
	observations := reader.Observations(batch, now)
	for o := range observations {
		s.delta.Fold(o)
		s.plan.Add(o)
	}
	s.delta.Settle()
	s.fingerprints = f.fingerprints(batch, basis, s.fingerprints[:0])
	return storage.Batch{
		Delta: s.delta, Observations: observations, Plan: s.plan,
		Requests: func(wanted func(span int) bool) iter.Seq[*aggregator.Request] {
			return reader.Requests(batch, now, wanted)
		},
		Fingerprints: s.fingerprints, Basis: basis,
		Refold: func(basis storage.Basis) storage.Batch {
			return f.mustFold(batch, basis, f.newSpace())
		},
	}
}

// readerOf returns the reader for spans of which those that name no run belong
// to that of the basis. It changes hardly ever.
func (f *Folder) readerOf(basis storage.Basis) SpanReader {
	run := basis.Run
	if f.options.OnlyRun != nil {
		run = *f.options.OnlyRun
	}
	if r := f.reader.Load(); r != nil && r.run == run {
		return r.SpanReader
	}
	options := f.options.Spans
	options.Run = run
	r := &runReader{run, f.options.Read(options)}
	f.reader.Store(r)
	return r.SpanReader
}

// fingerprints appends one of every span of a batch, nothing where none is
// asked for.
func (f *Folder) fingerprints(batch ptrace.Traces, basis storage.Basis, to []uint64) []uint64 {
	if f.options.Storage.DedupWindow > 0 && f.options.Storage.DedupMaxSpans > 0 {
		for id := range spans.Identities(batch) {
			to = append(to, basis.Key.Fingerprint(id))
		}
	}
	return to
}
