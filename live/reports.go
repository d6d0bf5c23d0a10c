package live

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report"
	"github.com/spanbucket/spanbucketexporter/storage"
)

const (
	// shared is how long an answer is given to others at least, whatever is
	// committed meanwhile.
	shared = time.Second
	// maxKept bounds the answers that are kept.
	maxKept = 64
	// maxAssembled bounds the reports that are assembled at a time, and the time
	// that each may take.
	maxAssembled = 2
	assembleTime = 30 * time.Second
)

// errNoPick is returned where the file has no spans that were asked for.
var errNoPick = errors.New("there are no such spans")

// request is what a viewer asks for.
type request struct {
	hasRun   bool
	run      string
	category string
}

// answer is a report that has been assembled.
type answer struct {
	body []byte
	err  error
	// of is the content of the file, at when it was read.
	of state
	at time.Time
	// open tells whether it changes with time though the file does not: some
	// buckets have not settled.
	open bool
	used time.Time
	done chan struct{} // closed when all of this is known
}

// reports assembles reports and keeps them for other viewers.
type reports struct {
	file  *file
	query analysis.Query
	now   func() time.Time
	turns chan struct{}

	mu   sync.Mutex
	kept map[request]*answer
}

func newReports(path string, q analysis.Query, now func() time.Time) *reports {
	return &reports{
		file: &file{path: path}, query: q, now: now, turns: make(chan struct{}, maxAssembled), kept: map[request]*answer{},
	}
}

// get returns the JSON of a report with the pick that is asked for.
func (r *reports) get(ctx context.Context, of request) ([]byte, error) {
	var body []byte
	var err error
	for range 2 {
		err = r.file.use(ctx, func(o *opened) (err error) {
			body, err = r.from(ctx, o, of)
			return err
		})
		// A file at rest that was written has to be opened anew.
		if !errors.Is(err, storage.ErrChanged) && !errors.Is(err, errState) {
			return body, err
		}
	}
	return nil, err
}

func (r *reports) from(ctx context.Context, o *opened, of request) ([]byte, error) {
	now, err := o.state(ctx)
	if err != nil {
		return nil, err
	}
	a, mine := r.lookUp(of, now)
	if mine {
		// Others may wait for it: it is made though this viewer goes away.
		r.make(context.WithoutCancel(ctx), o, of, a)
	}
	select {
	case <-a.done:
		return a.body, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// make fills in an answer.
func (r *reports) make(ctx context.Context, o *opened, of request, a *answer) {
	ctx, stop := context.WithTimeout(ctx, assembleTime)
	defer stop()
	a.err = errors.New("report: not assembled") // should it panic
	defer r.finish(of, a)
	a.body, a.open, a.err = r.assemble(ctx, o, of)
}

// lookUp returns the answer to give, and whether the caller has to make it.
func (r *reports) lookUp(of request, content state) (a *answer, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if a := r.kept[of]; a != nil && a.isGood(content, now) {
		a.used = now
		return a, false
	}
	a = &answer{of: content, at: now, used: now, done: make(chan struct{})}
	r.kept[of] = a
	return a, true
}

// isGood tells whether an answer is still to be given.
func (a *answer) isGood(content state, now time.Time) bool {
	select {
	case <-a.done:
	default:
		return a.of.of == content.of // in the making
	}
	age := now.Sub(a.at)
	if age >= 0 && age < shared && a.of.of == content.of {
		return true
	}
	return a.of == content && !a.open
}

// finish lets the answer be seen. One that failed is not kept, and of too many
// the one that was not used for longest is not.
func (r *reports) finish(of request, a *answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(a.done)
	if a.err != nil && r.kept[of] == a {
		delete(r.kept, of)
	}
	for len(r.kept) > maxKept {
		oldest := of
		for key, other := range r.kept {
			if other.used.Before(r.kept[oldest].used) {
				oldest = key
			}
		}
		delete(r.kept, oldest)
	}
}

func (r *reports) assemble(ctx context.Context, o *opened, of request) (body []byte, open bool, err error) {
	select {
	case r.turns <- struct{}{}:
		defer func() { <-r.turns }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	key := &report.Key{Category: of.category}
	if of.hasRun {
		key.RunID = &of.run
	}
	var made *report.Report
	err = o.reader.View(ctx, func(tx *sql.Tx) (err error) {
		q := r.query
		q.Now = r.now()
		made, err = report.Assemble(ctx, tx, report.Options{Query: q, Only: key})
		return err
	})
	if err != nil {
		return nil, false, err
	}
	if len(made.Picks) == 0 && (of.hasRun || of.category != "") {
		return nil, false, errNoPick
	}
	body, err = made.JSON()
	return body, made.Open.Requests > 0, err
}
