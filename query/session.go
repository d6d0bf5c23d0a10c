package query

import (
	"context"
	"errors"
	"strings"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/spanbucket/spanbucketexporter/query/engine"
)

// session is a connection for one query.
type session struct {
	conn *engine.Conn
	*authorizer
}

func open(uri string, l Limits) (_ *session, err error) {
	conn, err := engine.Open(uri)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, conn.Close())
		}
	}()
	conn.BusyTimeout(250)
	if err := harden(conn, l); err != nil {
		return nil, err
	}
	s := &session{conn: conn, authorizer: &authorizer{expired: func() bool { return false }}}
	for query, into := range map[string]*map[string]bool{
		`SELECT name FROM sqlite_schema WHERE type = 'view' OR type = 'table' AND rootpage > 0
			UNION ALL VALUES ('sqlite_schema'), ('sqlite_master')`: &s.readable,
		"SELECT name FROM pragma_module_list": &s.modules,
	} {
		if *into, err = names(conn, query); err != nil {
			return nil, err
		}
	}
	if err := createFunctions(conn, l); err != nil {
		return nil, err
	}
	if err := limit(conn, l); err != nil {
		return nil, err
	}
	conn.Authorize(s.allow)
	return s, nil
}

// harden switches off what reading does not need.
func harden(conn *engine.Conn, l Limits) error {
	for property, on := range map[int32]bool{
		sqlite3.SQLITE_DBCONFIG_DEFENSIVE:             true,
		sqlite3.SQLITE_DBCONFIG_TRUSTED_SCHEMA:        false,
		sqlite3.SQLITE_DBCONFIG_DQS_DDL:               false,
		sqlite3.SQLITE_DBCONFIG_DQS_DML:               false,
		sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER:        false,
		sqlite3.SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER: false,
		sqlite3.SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION: false,
		sqlite3.SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE:  false,
		sqlite3.SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE:   false,
	} {
		if err := conn.Configure(property, on); err != nil {
			return err
		}
	}
	pragmas := []string{"query_only = 1", "cell_size_check = 1", "mmap_size = 0", "cache_size = -4096"}
	if l.Time > 0 {
		pragmas = append(pragmas, "temp_store = memory") // which is bounded, and a disk is not
	}
	for _, pragma := range pragmas {
		if err := each(conn, "PRAGMA "+pragma, func(*engine.Statement) {}); err != nil {
			return err
		}
	}
	return nil
}

// names returns the texts of a query of ours, in lower case.
func names(conn *engine.Conn, query string) (map[string]bool, error) {
	names := map[string]bool{}
	return names, each(conn, query, func(s *engine.Statement) {
		row := make([]any, 1)
		s.Scan(row)
		if name, ok := row[0].(string); ok {
			names[strings.ToLower(name)] = true
		}
	})
}

func each(conn *engine.Conn, query string, row func(*engine.Statement)) error {
	s, _, err := conn.Prepare(query)
	if err != nil {
		return err
	}
	defer s.Close()
	for {
		more, err := s.Next()
		if err != nil || !more {
			return err
		}
		row(s)
	}
}

// watch ends what runs when ctx does: the engine asks every so many operations,
// and looks at its mark for interruption inside of some long ones. The mark is
// set again and again, because a statement that begins takes it away. A statement
// need not have a jump, at which alone the engine asks and looks: what makes a
// text or matches a pattern fails on its own when it is over.
func (s *session) watch(ctx context.Context) (stop func()) {
	s.expired = func() bool { return ctx.Err() != nil }
	s.conn.Watch(1000, func() bool { return !s.expired() })
	finished, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		select {
		case <-finished:
			return
		case <-ctx.Done():
		}
		again := time.NewTicker(10 * time.Millisecond)
		defer again.Stop()
		for {
			s.conn.Interrupt()
			s.conn.Exhaust()
			select {
			case <-finished:
				return
			case <-again.C:
			}
		}
	}()
	return func() {
		close(finished)
		<-left
	}
}
