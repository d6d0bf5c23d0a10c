package spans

import (
	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// walker holds what the reading of one batch needs. It is reused, by one batch
// at a time.
type walker struct {
	reader   *Reader
	index    *index // of the reader: what is being read
	resource record
	span     record
	event    record

	latest int64 // Unix nanoseconds: what a span tells of later is not believed

	// Of the resource and scope.
	service, run, session string
	injector              bool            // the spans are those of a fault injector
	resourceDescribesRun  bool            // it says more of the run than its name
	notes                 aggregator.Note // of the resource

	// Of the span.
	claudeCode  bool
	meaning     meaning
	told        told
	eventful    bool // the span has events
	known       aggregator.Fact
	delayNano   int64 // the injected delay, where known says so
	observation aggregator.Observation
	request     aggregator.Request

	// What is remembered over batches: it costs memory to make anew.
	scratch     []byte
	joined      map[string]string
	lowered     map[string]string
	dimensioned map[string]dimensionText
	outcomes    map[failure]aggregator.Outcome
	priced      map[string]*Price
}

func newWalker(r *Reader) *walker {
	return &walker{
		reader: r, joined: map[string]string{}, lowered: map[string]string{}, outcomes: map[failure]aggregator.Outcome{},
		priced: map[string]*Price{}, dimensioned: map[string]dimensionText{},
	}
}

// maxScratch is how much of scratch is worth keeping, in bytes.
const maxScratch = 1 << 16

// release returns the walker without anything that belongs to the batch.
func (w *walker) release() {
	w.span.release()
	w.resource.release()
	w.event.release()
	w.service, w.run, w.session = "", "", ""
	w.told, w.eventful, w.meaning = told{}, false, meaning{}
	w.observation, w.request = aggregator.Observation{}, aggregator.Request{}
	if cap(w.scratch) > maxScratch {
		w.scratch = nil
	}
	forgetMany(w.joined)
	forgetMany(w.lowered)
	forgetMany(w.dimensioned)
	forgetMany(w.outcomes)
	forgetMany(w.priced)
	w.reader.walkers.Put(w)
}

// forgetMany empties a map that is full, so that what comes after is
// remembered.
func forgetMany[K comparable, V any](remembered map[K]V) {
	if len(remembered) >= maxJoined {
		clear(remembered)
	}
}
