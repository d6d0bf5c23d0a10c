package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// ErrNotMergeable is wrapped by errors that say why files cannot be joined.
var ErrNotMergeable = errors.New("files cannot be merged")

// OverlapError is returned by Merge for files that have spans in common.
type OverlapError struct {
	// Spans is how many would be counted once too often.
	Spans int64
}

func (e *OverlapError) Error() string {
	if e.Spans == 1 {
		return "1 span is in more than one file and would be counted again"
	}
	return fmt.Sprintf("%d spans are in more than one file and would be counted again", e.Spans)
}

// MergeOptions say how files are joined.
type MergeOptions struct {
	// Output is the path of the new file, which gets mode 0600.
	Output string
	// Replace lets it take the place of another spanbucket file.
	Replace bool
	// AllowOverlap joins files with spans in common: they are counted as often
	// as they are stored.
	AllowOverlap bool
	// Align keeps only the widths that all files have, and of each no more than
	// the file that keeps least.
	Align bool
	// WriterVersion is the version of the program, for meta.
	WriterVersion string
	// Now reads the clock; nil means time.Now.
	Now func() time.Time
	// OnProgress is told now and then, in the goroutine of Merge, how many rows
	// have been read and about how many there are. nil: nobody is told.
	OnProgress func(read, total int64)
}

// MergedFile is a file that was joined.
type MergedFile struct {
	Path     string `json:"path"`
	WriterID string `json:"writer_id"`
	Version  int64  `json:"version"` // its last commit that was read
}

// MergedRows counts the rows of one table.
type MergedRows struct {
	Relation string `json:"relation"`
	Read     int64  `json:"rows_read"`
	Written  int64  `json:"rows_written"`
}

// LeftOut counts rows that have no place in the new file.
type LeftOut struct {
	Relation string `json:"relation"`
	WidthS   int64  `json:"width_s"` // of buckets; 0 for others
	Rows     int64  `json:"rows"`
	Why      string `json:"why"`
}

// Why rows were left out.
const (
	// LeftPruned: another file has pruned what starts as early.
	LeftPruned = "pruned"
	// LeftWidth: another file does not keep so much of the width.
	LeftWidth = "width"
	// LeftKeys: the fingerprints of the files were made with different keys.
	LeftKeys = "keys"
	// LeftSampled: of the spans of a minute that are kept for cause, the files
	// have more together than one may.
	LeftSampled = "sampled"
	// LeftFull: the deduplication window remembers so many spans and no more.
	LeftFull = "full"
)

// MergeResult is what Merge did.
type MergeResult struct {
	Files []MergedFile
	// Rows counts by table, in the order in which they were written.
	Rows    []MergedRows
	LeftOut []LeftOut
	// Comparable: the files share a key, so that spans which are in several of
	// them were noticed, as far as the deduplication windows reach.
	Comparable bool
	// Overlap is how many spans are counted once too often.
	Overlap int64
}

// Merge joins the files at the given paths into a new one, which holds what one
// collector would have written that had received all their spans. The files are
// only read, each as of one commit; collectors may be writing them. What is held
// in memory does not grow with the files, but for a number per series of pinned
// runs and for the spans they have in common.
//
// It returns ErrNotMergeable for files that do not fit together, an OverlapError
// for files with spans in common, ErrForeign, ErrNewer and ErrOlder, ErrExists,
// ErrInUse and ErrLocked where the new file cannot have its place. After an
// error there is no new file.
func Merge(ctx context.Context, paths []string, o MergeOptions) (*MergeResult, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &merger{options: &o}
	if err := m.merge(ctx, paths); err != nil {
		return nil, fmt.Errorf("merge: %w", err)
	}
	return &m.result, nil
}

// merger is one run of Merge.
type merger struct {
	options *MergeOptions
	files   []*mergeInput
	widths  []Width // of the new file
	// common are the fingerprints that are in more than one file, ascending;
	// only where these may be joined all the same.
	common []uint64
	out    *sql.Conn
	result MergeResult
	read   int64 // rows
	total  int64 // rows, about
	// sampledUntil is one more than the latest start of the requests that had to
	// go since another file has more of their minute.
	sampledUntil int64
	unchosen     int64 // requests that had to go for that
	// leftBuckets counts rows of pruned buckets, by width.
	leftBuckets map[int64]int64
}

func (m *merger) merge(ctx context.Context, paths []string) (err error) {
	if len(paths) == 0 {
		return fmt.Errorf("%w: none is named", ErrNotMergeable)
	}
	if err := checkApart(paths, m.options.Output); err != nil {
		return err
	}
	defer func() {
		for _, in := range m.files {
			err = errors.Join(err, in.reader.Close())
		}
	}()
	for _, path := range paths {
		reader, err := OpenReader(ctx, path)
		if err != nil {
			return err
		}
		m.files = append(m.files, &mergeInput{path: path, reader: reader})
	}
	var file *newFile
	defer func() {
		if file != nil {
			err = errors.Join(err, file.abandon())
		}
	}()
	err = m.view(ctx, m.files, func() error {
		if err := m.compare(ctx); err != nil {
			return err
		}
		if file, err = beginFile(ctx, m.options.Output, m.options.Replace, "spanbucket merge", m.options.Now); err != nil {
			return err
		}
		m.out = file.conn
		return m.write(ctx)
	})
	if err != nil {
		return err
	}
	return file.finish(ctx)
}

// view calls do while all files stand still.
func (m *merger) view(ctx context.Context, files []*mergeInput, do func() error) error {
	if len(files) == 0 {
		return do()
	}
	in := files[0]
	return in.reader.View(ctx, func(tx *sql.Tx) error {
		in.tx = tx
		return m.view(ctx, files[1:], do)
	})
}

// checkApart checks that no file is named twice, nor is the new one.
func checkApart(paths []string, output string) error {
	infos := make([]os.FileInfo, len(paths))
	for i, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		for k := range i {
			if os.SameFile(info, infos[k]) {
				return fmt.Errorf("%w: %s and %s are the same file", ErrNotMergeable, paths[k], path)
			}
		}
		infos[i] = info
	}
	there, err := os.Stat(output)
	if err != nil {
		return nil //nolint:nilerr // whoever creates it says what is wrong with it
	}
	for i := range infos {
		if os.SameFile(there, infos[i]) {
			return fmt.Errorf("%w: %s is one of the files to join, and cannot be the new one", ErrNotMergeable, filepath.Clean(output))
		}
	}
	return nil
}

// write writes the new file.
func (m *merger) write(ctx context.Context) error {
	m.leftBuckets = map[int64]int64{}
	for _, step := range []func(context.Context) error{
		m.writeMerged, m.mergeTables, m.mergeBuckets, m.completeObjectives, m.copyRequests, m.chooseRequests, m.mergeFingerprints, m.mergePruned, m.writeMeta,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if m.options.OnProgress != nil {
		m.options.OnProgress(m.total, m.total)
	}
	return nil
}

// progressRows is how many rows are read between two calls of OnProgress.
const progressRows = 4096

// progress counts rows that were read.
func (m *merger) progress(rows int64) {
	before := m.read
	m.read += rows
	if m.options.OnProgress != nil && m.read/progressRows != before/progressRows {
		m.options.OnProgress(min(m.read, m.total), m.total)
	}
}

// countRows adds to what is said of a table.
func (m *merger) countRows(relation string, read, written int64) {
	if n := len(m.result.Rows); n == 0 || m.result.Rows[n-1].Relation != relation {
		m.result.Rows = append(m.result.Rows, MergedRows{Relation: relation})
	}
	last := &m.result.Rows[len(m.result.Rows)-1]
	last.Read += read
	last.Written += written
}

func (m *merger) leaveOut(relation string, width, rows int64, why string) {
	if rows > 0 {
		m.result.LeftOut = append(m.result.LeftOut, LeftOut{relation, width, rows, why})
	}
}

// exec runs a statement that writes the new file.
func (m *merger) exec(ctx context.Context, statement string, args ...any) error {
	_, err := m.out.ExecContext(ctx, statement, args...)
	return err
}
