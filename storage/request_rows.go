package storage

import (
	"context"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

const (
	// rowsPerInsert is how many rows one statement inserts: with more of them
	// it hardly gets faster.
	rowsPerInsert = 32
	// maxShapes bounds the statements that are kept prepared. Rows of further
	// shapes name all columns.
	maxShapes = 32
)

// requestRows collects rows of request and inserts those that have values in
// the same columns together. Binding a NULL costs as much as a value, and a row
// has half of the columns.
type requestRows struct {
	shapes map[columnSet]*requestShape
	row    requestRow // reused
}

// requestShape is what waits of one set of columns.
type requestShape struct {
	columns   columnSet
	many, one string // statements
	args      []any
	rows      int
	ids       []byte // what args refers to
}

// requestRow is one row that is being put together.
type requestRow struct {
	has    columnSet
	values [numRequestColumns]any
}

func (r *requestRow) set(c requestColumn, value any) {
	r.has |= 1 << c
	r.values[c] = value
}

func (r *requestRow) setIf(present bool, c requestColumn, value int64) {
	if present {
		r.set(c, value)
	}
}

func newRequestRows() *requestRows {
	return &requestRows{shapes: map[columnSet]*requestShape{}}
}

// forget drops the rows that wait. The shapes stay: their statements are
// prepared.
func (q *requestRows) forget() {
	for _, s := range q.shapes {
		s.empty()
	}
}

func (q *requestRows) shape(columns columnSet) *requestShape {
	if s, ok := q.shapes[columns]; ok {
		return s
	}
	if len(q.shapes) >= maxShapes {
		columns = allColumnSet
		if s, ok := q.shapes[columns]; ok {
			return s
		}
	}
	s := &requestShape{columns: columns, many: requestInsert(columns, rowsPerInsert), one: requestInsert(columns, 1)}
	q.shapes[columns] = s
	return s
}

// add takes over a row.
func (s *requestShape) add(r *requestRow, ids *spanIDs) {
	for c, rest := requestColumn(0), s.columns; rest != 0; {
		c, rest = rest.next()
		value := r.values[c]
		switch {
		case r.has&(1<<c) == 0:
			value = nil
		case c == columnSpanID:
			value = s.keep(ids.span[:])
		case c == columnTraceID:
			value = s.keep(ids.trace[:])
		case c == columnParent:
			value = s.keep(ids.parent[:])
		}
		s.args = append(s.args, value)
	}
	s.rows++
}

// keep copies an id: the span is read anew for every row.
func (s *requestShape) keep(id []byte) []byte {
	const idBytes = 8 + 16 + 8
	if s.ids == nil {
		s.ids = make([]byte, 0, rowsPerInsert*idBytes) // never grows: slices of it are bound
	}
	n := len(s.ids)
	s.ids = append(s.ids, id...)
	return s.ids[n:len(s.ids):len(s.ids)]
}

func (s *requestShape) empty() {
	clear(s.args) // not to hold on to texts of the batch
	s.args, s.ids, s.rows = s.args[:0], s.ids[:0], 0
}

// insertRow inserts a row, soon or at once.
func (w *writer) insertRow(ctx context.Context, r *requestRow, ids *spanIDs) error {
	s := w.requests.shape(r.has)
	s.add(r, ids)
	if s.rows < rowsPerInsert {
		return nil
	}
	err := w.exec(ctx, s.many, s.args...)
	s.empty()
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	return nil
}

// flushRequests inserts the rows that are still waiting.
func (w *writer) flushRequests(ctx context.Context) error {
	for _, s := range w.requests.shapes {
		each := len(s.args) / max(s.rows, 1)
		for i := range s.rows {
			if err := w.exec(ctx, s.one, s.args[i*each:(i+1)*each]...); err != nil {
				return fmt.Errorf("write request: %w", err)
			}
		}
	}
	w.requests.forget()
	return nil
}

// spanIDs are the ids of a span.
type spanIDs struct {
	span, parent [8]byte
	trace        [16]byte
}

// missing tells whether the span cannot be told from others by its ids.
func (i *spanIDs) missing() bool { return i.span == [8]byte{} || i.trace == [16]byte{} }

// The bits of request.kept.
const (
	keptAsRequest = 1 << iota
	keptForSessions
	keptForFaults
	// keptForCause: the span failed, carries a fault or was slow.
	keptForCause
	// keptByChoice: it was chosen among those for cause of its minute.
	keptByChoice
)

// isOfSession tells whether sessions, turns or tools are made of the span.
func isOfSession(r *aggregator.Request) bool {
	return r.Session != "" || r.Role != aggregator.RoleNone || r.Series.Category == aggregator.CategoryTool ||
		r.ToolCallID != "" || r.Decision != ""
}

// isMarked tells whether an injected fault touched the span. The spans of the
// injector itself only say that there was one.
func isMarked(r *aggregator.Request) bool {
	return r.Series.Fault != "" && r.Series.Category != aggregator.CategoryFault
}
