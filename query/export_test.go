package query

import (
	"context"

	"github.com/spanbucket/spanbucketexporter/query/engine"
)

// AskUnguarded is Ask without the authorizer: what it answers and Ask refuses
// shows that the authorizer is what refuses it.
func AskUnguarded(ctx context.Context, uri, text string, l Limits) (*Answer, error) {
	s, err := open(uri, l)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.conn.Close() }()
	defer s.watch(ctx)()
	s.conn.Authorize(func(engine.Action) bool { return true })
	answer := &Answer{}
	answer.Cut, err = s.run(text, l, answer)
	return answer, err
}

// Functions are those that a query may call.
var Functions = functions

// AskPlain is the one row of a query as the engine alone answers it.
func AskPlain(ctx context.Context, path, text string) (row []any, err error) {
	conn, err := engine.Open("file:" + path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	err = each(conn, text, func(s *engine.Statement) {
		row = make([]any, len(s.Columns()))
		s.Scan(row)
	})
	return row, err
}
