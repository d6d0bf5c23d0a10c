package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// maxLiveBytes bounds the memory of the rows that the writer remembers.
const maxLiveBytes = 24 << 20

// bucketKey names one bucket of one of the two tables.
type bucketKey struct {
	table *bucketTable
	width int64 // seconds
	start int64 // Unix seconds
}

// rowKey names a row within its bucket: by series, or by run and category.
type rowKey struct {
	series   aggregator.SeriesID
	run      string
	category aggregator.Category
}

// args returns the values of bucketTable.keys.
func (k rowKey) args(t *bucketTable) []any {
	if t == headlineTable {
		return []any{k.run, k.category.String()}
	}
	return []any{int64(k.series)}
}

// liveRow is a row as it is in the file, plus what the present transaction
// added.
type liveRow struct {
	bucket bucketKey
	key    rowKey
	id     int64
	cell   aggregator.Cell
	stored bool // the file has the row
	dirty  bool // it differs from that of the file
	// changed says in which measures a dirty one differs, besides counters.
	changed changes
}

// liveBucket holds the rows of one bucket that have been asked for.
type liveBucket struct {
	rows map[rowKey]*liveRow
	// complete: the file has no rows that are not here, so that a missing one
	// is new without asking.
	complete bool
	lastUsed int64 // version of the commit
}

// live is the writer's memory of rows. The file is the truth: live can be
// dropped at any time outside a transaction.
type live struct {
	buckets map[bucketKey]*liveBucket
	dirty   []*liveRow
	nextID  map[*bucketTable]int64
	bytes   int
}

func newLive() *live {
	return &live{buckets: map[bucketKey]*liveBucket{}, nextID: map[*bucketTable]int64{}}
}

// row returns the row for a key, from memory, from the file, or a new one.
func (w *writer) row(ctx context.Context, bucket bucketKey, key rowKey) (*liveRow, error) {
	b, ok := w.live.buckets[bucket]
	if !ok {
		exists, err := w.statements[bucket.table].bucketExists(ctx, bucket)
		if err != nil {
			return nil, err
		}
		b = &liveBucket{rows: map[rowKey]*liveRow{}, complete: !exists}
		w.live.buckets[bucket] = b
		w.live.bytes += bucketBytes
	}
	b.lastUsed = w.version
	if r, ok := b.rows[key]; ok {
		return r, nil
	}
	r := &liveRow{bucket: bucket, key: key}
	if !b.complete {
		var err error
		r.id, r.cell, err = w.statements[bucket.table].load(ctx, bucket, key)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		r.stored = err == nil
	}
	if !r.stored {
		w.live.nextID[bucket.table]++
		r.id = w.live.nextID[bucket.table]
	}
	b.rows[key] = r
	w.live.bytes += rowBytes
	return r, nil
}

// rowBytes and bucketBytes estimate a row without its histograms, and a bucket
// without its rows.
const (
	rowBytes    = 1024
	bucketBytes = 512
)

func (l *live) markDirty(r *liveRow) {
	if !r.dirty {
		r.dirty = true
		l.dirty = append(l.dirty, r)
	}
}

func cellBytes(c *aggregator.Cell) (n int) {
	for m := range c.Measures {
		n += c.Measures[m].Size()
	}
	return n
}

// shrink drops the buckets that were used longest ago, once all exceed so many
// bytes; then enough of them that the next commits need not shrink again.
func (l *live) shrink(most int) {
	if l.bytes <= most {
		return
	}
	type aged struct {
		key   bucketKey
		used  int64
		bytes int
	}
	l.bytes = 0
	buckets := make([]aged, 0, len(l.buckets))
	for key, b := range l.buckets {
		size := b.size()
		l.bytes += size
		buckets = append(buckets, aged{key, b.lastUsed, size})
	}
	slices.SortFunc(buckets, func(a, b aged) int { return cmp.Compare(a.used, b.used) })
	for _, b := range buckets {
		if l.bytes <= most*3/4 {
			return
		}
		delete(l.buckets, b.key)
		l.bytes -= b.bytes
	}
}

func (b *liveBucket) size() (n int) {
	n = bucketBytes
	for _, r := range b.rows {
		n += rowBytes + cellBytes(&r.cell)
	}
	return n
}
