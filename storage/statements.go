package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// tableStatements are the prepared statements of one pair of bucket tables.
type tableStatements struct {
	table            *bucketTable
	conn             *sql.Conn
	exists           *sql.Stmt
	loadRow          *sql.Stmt
	insert           *sql.Stmt
	insertHistograms *sql.Stmt
	// Prepared when they are first needed; updateHistograms has none for 0.
	update           [allChanges + 1]*sql.Stmt
	updateHistograms [allChanges + 1]*sql.Stmt
	args             []any
	text             []byte
}

func prepareTable(ctx context.Context, conn *sql.Conn, t *bucketTable) (*tableStatements, error) {
	s := &tableStatements{table: t, conn: conn}
	for _, p := range []struct {
		into **sql.Stmt
		text string
	}{
		{&s.exists, t.existsSQL()},
		{&s.loadRow, t.loadSQL()},
		{&s.insert, t.insertSQL()},
		{&s.insertHistograms, t.insertHistogramsSQL()},
	} {
		var err error
		if *p.into, err = conn.PrepareContext(ctx, p.text); err != nil {
			return nil, errors.Join(fmt.Errorf("prepare %s: %w", t.name, err), s.close())
		}
	}
	return s, nil
}

func (s *tableStatements) close() error {
	var errs []error
	all := append([]*sql.Stmt{s.exists, s.loadRow, s.insert, s.insertHistograms}, s.update[:]...)
	for _, stmt := range append(all, s.updateHistograms[:]...) {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	return errors.Join(errs...)
}

func (s *tableStatements) bucketExists(ctx context.Context, bucket bucketKey) (exists bool, err error) {
	if err := s.exists.QueryRowContext(ctx, bucket.width, bucket.start).Scan(&exists); err != nil {
		return false, fmt.Errorf("look up bucket %d of %d s in %s: %w", bucket.start, bucket.width, s.table.name, err)
	}
	return exists, nil
}

// load reads a row; id is 0 and the error sql.ErrNoRows where it is new.
func (s *tableStatements) load(ctx context.Context, bucket bucketKey, key rowKey) (int64, aggregator.Cell, error) {
	args := append([]any{bucket.width, bucket.start}, key.args(s.table)...)
	id, cell, err := s.table.scanCell(s.loadRow.QueryRowContext(ctx, args...))
	if err != nil && !errors.Is(err, sql.ErrNoRows) && primaryCode(err) == 0 {
		// SQLite could read the row, and it says what no writer wrote.
		err = fmt.Errorf("%w: %w", errDamaged, err)
	}
	if err != nil {
		return 0, aggregator.Cell{}, fmt.Errorf("load row of bucket %d of %d s from %s: %w",
			bucket.start, bucket.width, s.table.name, err)
	}
	return id, cell, nil
}

// write makes the row in the file equal to r.
func (s *tableStatements) write(ctx context.Context, r *liveRow, version int64) error {
	row, histograms, changed := s.insert, s.insertHistograms, allChanges
	if r.stored {
		changed = r.changed
		var err error
		if row, histograms, err = s.updates(ctx, changed); err != nil {
			return err
		}
	}
	s.args = append(s.table.appendValues(s.args[:0], version, &r.cell, changed), r.id)
	if !r.stored {
		s.args = append(s.args, r.bucket.width, r.bucket.start)
		s.args = append(s.args, r.key.args(s.table)...)
	}
	if _, err := row.ExecContext(ctx, s.args...); err != nil {
		return fmt.Errorf("write %s: %w", s.table.name, err)
	}
	if changed == 0 {
		return nil
	}
	s.args = s.args[:0]
	for _, m := range s.table.measures {
		if !changed.measure(m.measure) {
			continue
		}
		h := &r.cell.Measures[m.measure]
		if h.Count() == 0 {
			s.args = append(s.args, nil)
			continue
		}
		s.text = h.AppendText(s.text[:0])
		s.args = append(s.args, string(s.text))
	}
	if len(s.args) == 0 {
		return nil
	}
	if _, err := histograms.ExecContext(ctx, append(s.args, r.id)...); err != nil {
		return fmt.Errorf("write %s: %w", s.table.histograms, err)
	}
	return nil
}

// updates returns the statements that write what changed of a row and of its
// histograms.
func (s *tableStatements) updates(ctx context.Context, changed changes) (row, histograms *sql.Stmt, err error) {
	if s.update[changed] == nil {
		if s.update[changed], err = s.conn.PrepareContext(ctx, s.table.updateSQL(changed)); err != nil {
			return nil, nil, fmt.Errorf("prepare %s: %w", s.table.name, err)
		}
	}
	if s.updateHistograms[changed] == nil && len(s.table.histogramColumns(changed)) > 0 {
		if s.updateHistograms[changed], err = s.conn.PrepareContext(ctx, s.table.updateHistogramsSQL(changed)); err != nil {
			return nil, nil, fmt.Errorf("prepare %s: %w", s.table.histograms, err)
		}
	}
	return s.update[changed], s.updateHistograms[changed], nil
}

// exec runs one of the statements of this package.
func (w *writer) exec(ctx context.Context, statement string, args ...any) error {
	stmt, err := w.statement(ctx, statement)
	if err != nil {
		return err
	}
	_, err = stmt.ExecContext(ctx, args...)
	return err
}

// scanOne runs one of the statements of this package, and reads the only value
// of its only row. It returns sql.ErrNoRows where there is none.
func (w *writer) scanOne(ctx context.Context, into any, statement string, args ...any) error {
	return w.scanInto(ctx, []any{into}, statement, args...)
}

// scanInto is scanOne for several values.
func (w *writer) scanInto(ctx context.Context, into []any, statement string, args ...any) error {
	stmt, err := w.statement(ctx, statement)
	if err != nil {
		return err
	}
	return stmt.QueryRowContext(ctx, args...).Scan(into...)
}

// statement returns one of the statements of this package, which is prepared
// when it is first needed.
func (w *writer) statement(ctx context.Context, text string) (*sql.Stmt, error) {
	stmt, ok := w.prepared[text]
	if ok {
		return stmt, nil
	}
	stmt, err := w.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	w.prepared[text] = stmt
	return stmt, nil
}
