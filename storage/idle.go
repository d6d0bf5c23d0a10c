package storage

import (
	"context"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// idleInterval is how often the writer looks after the file while nothing waits.
const idleInterval = time.Second

// idle looks after the file while nothing waits: another connection may have
// asked for something.
func (w *writer) idle(ctx context.Context) {
	if w.conn == nil {
		// Something may wait that no traffic brings up again.
		if w.begin(ctx, true) == nil {
			w.abort(ctx)
			w.tellOfLetters()
		}
		return
	}
	if w.tend(w.file.idle(ctx)); w.conn == nil {
		return
	}
	var dataVersion int64
	err := w.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&dataVersion)
	if err == nil && dataVersion != w.dataVersion && w.begin(ctx, true) == nil {
		w.abort(ctx)
	}
	w.tellOfLetters()
}

// tellOfLetters says that letters are due, about once a second, whether or not
// there is traffic.
func (w *writer) tellOfLetters() {
	if w.conn == nil || !w.lettersDue || w.options.OnLettersDue == nil || time.Since(w.toldOfLetters) < idleInterval {
		return
	}
	w.toldOfLetters = time.Now()
	w.options.OnLettersDue()
}

// tend takes the outcome of housekeeping: after an error the connection is not
// to be used any more.
func (w *writer) tend(err error) {
	if err != nil {
		_ = w.disconnect() // the next transaction starts anew, and fails where it must
	}
}

// shrink gives up memory that one large commit needed.
func (w *writer) shrink() {
	w.live.shrink(maxLiveBytes)
	w.strata.shrink(w.policy.MaxForCause)
	for _, d := range append([]**aggregator.Delta{&w.merged, &w.single}, pointers(w.refolds)...) {
		if (*d).Oversized() {
			*d = w.newDelta()
		}
	}
}

func pointers[T any](all []T) []*T {
	out := make([]*T, len(all))
	for i := range all {
		out[i] = &all[i]
	}
	return out
}
