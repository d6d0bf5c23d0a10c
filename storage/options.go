package storage

import (
	"io/fs"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
)

// Detail says what is kept of a width.
type Detail uint8

// The details: DetailSeries keeps the headline and every series with its
// histograms, DetailHeadline only the headline.
const (
	DetailSeries Detail = iota
	DetailHeadline
)

// String returns the name as configured and stored.
func (d Detail) String() string {
	if d == DetailHeadline {
		return "headline"
	}
	return "series"
}

// Width is one of the bucket widths of a file.
type Width struct {
	Seconds int64
	// Retention is how long buckets are kept; 0 keeps them for ever.
	Retention time.Duration
	Detail    Detail
}

// Synchronous is SQLite's synchronous setting.
type Synchronous uint8

// Full survives a power cut; Normal may forget the last commits after one.
const (
	SynchronousFull Synchronous = iota
	SynchronousNormal
)

// String returns the setting as SQLite and the configuration name it.
func (s Synchronous) String() string {
	if s == SynchronousNormal {
		return "normal"
	}
	return "full"
}

// Options say how a file is written. Those that a file remembers for who writes
// to it later are stored in it as JSON.
type Options struct {
	// Path of the file. It is created, with its folders, where it is missing.
	Path string `json:"-"`
	// FileMode of a file that is created; 0 means 0600.
	FileMode fs.FileMode `json:"-"`
	// Widths, finest first, each a multiple of the one before.
	Widths []Width
	// SettleAfter is how long after its end a bucket settles.
	SettleAfter time.Duration
	// Limits bound series and runs.
	Limits aggregator.Limits
	// Synchronous is how safe a commit is.
	Synchronous Synchronous `json:"-"`
	// RunID and RunName name the configured run; empty for none.
	RunID, RunName string
	// RunPinned keeps what belongs to the configured run whatever the retention.
	RunPinned bool
	// Sampling says which requests are kept row by row; nil: all of them. What
	// sessions, tools, circuits and fault windows are made of is kept all the
	// same. It is not changed.
	Sampling *sampling.Policy
	// DropSessions keeps nothing for sessions, turns and tools either. A row
	// that is kept as a request still names its session.
	DropSessions bool
	// Objectives are what is counted for; the file remembers them in a table.
	Objectives []aggregator.Objective `json:"-"`
	// FaultWindows are the configured ones; they replace those of the last
	// time.
	FaultWindows []aggregator.FaultWindow
	// FaultGap joins requests that a fault touched to one window where no more
	// lies between them.
	FaultGap time.Duration
	// DedupWindow is how long a span is remembered after it arrived, so that a
	// second delivery of it is not counted, and DedupMaxSpans how many spans
	// are; 0 of either: none.
	DedupWindow   time.Duration
	DedupMaxSpans int
	// DedupSecret makes the key of the fingerprints; empty: the key is random.
	DedupSecret string `json:"-"`
	// RequestRetention is how long single requests are kept, and what sessions,
	// tools and circuits are made of; 0 keeps them for ever. RequestMaxRows
	// bounds how many; 0: no bound.
	RequestRetention time.Duration
	RequestMaxRows   int64
	// MaxSize bounds the bytes of the file, free pages apart; 0: no bound.
	MaxSize int64
	// PruneInterval is how often the writer looks for what is over its bound,
	// also at once; 0 means 10 s. Below 0 it does so only when it is asked to.
	PruneInterval time.Duration `json:"-"`
	// MaxLetters bounds the dead letters; 0 means 1,000.
	MaxLetters int
	// Reading says how the spans were read, for those who add more; the store
	// only keeps it.
	Reading string
	// WriterVersion is the version of the program, for meta.
	WriterVersion string `json:"-"`
	// Now reads the clock; nil means time.Now.
	Now func() time.Time `json:"-"`
	// OnCommit is called by the writer after every commit, in its goroutine;
	// it must return soon. nil: nobody is told.
	OnCommit func(Commit) `json:"-"`
	// OnLettersDue is called like OnCommit, about once a second, as long as
	// dead letters are to be tried again. nil: nobody is told.
	OnLettersDue func() `json:"-"`
	// Holder says who writes the file, to others that want to: such as
	// "exporter spanbucket/two". The process and its host are named besides.
	Holder string `json:"-"`
	// OnEvent is told of what happens to the file, in the goroutine of Open or
	// of the writer; it must return soon. nil: nobody is told.
	OnEvent func(Event) `json:"-"`
}

// Commit describes one successful commit.
type Commit struct {
	Duration time.Duration
	// Spans counts the spans of the commit by what became of them, under the
	// names of the ledger, without received.
	Spans map[string]int64
	// QueueWaits tells for each batch how long it waited for its commit to
	// begin.
	QueueWaits []time.Duration
	LiveSeries int
	// Remembered is how many spans the deduplication window holds, and Reach
	// how far back a second delivery is noticed at the present rate.
	Remembered int
	Reach      time.Duration
}

// FinestWidths returns the widths that deltas for a file of these widths fold
// into.
func FinestWidths(widths []Width) aggregator.Widths {
	var finest aggregator.Widths
	for _, w := range widths {
		if finest.Headline == 0 {
			finest.Headline = w.Seconds
		}
		if finest.Series == 0 && w.Detail == DetailSeries {
			finest.Series = w.Seconds
		}
	}
	return finest
}

func (o *Options) setDefaults() {
	if o.FileMode == 0 {
		o.FileMode = 0o600
	}
	if o.MaxLetters == 0 {
		o.MaxLetters = 1000
	}
	if o.PruneInterval == 0 {
		o.PruneInterval = pruneInterval
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// settleSeconds is SettleAfter in whole seconds, rounded up: what views can
// compare with.
func (o *Options) settleSeconds() int64 {
	return int64((o.SettleAfter + time.Second - 1) / time.Second)
}
