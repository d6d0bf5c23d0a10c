package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// mergeInput is a file that is joined.
type mergeInput struct {
	path   string
	reader *Reader
	tx     *sql.Tx // in which it stands still
	values map[string]string
	meta   *Meta
	inside map[string]int64 // writer ids it was joined of, its own besides → version
	key    []byte           // of the fingerprints; nil: none
	// configured: the key was made of a secret.
	configured bool
	// requestsAfter is added to the ids of single requests.
	requestsAfter int64
}

const (
	// allCachesKiB is the memory for pages of all files, and minCacheKiB what
	// one needs.
	allCachesKiB = 4 << 10
	minCacheKiB  = 256
)

// compare reads what must be known of all files before anything is written, and
// returns an error where they do not fit together.
func (m *merger) compare(ctx context.Context) error {
	for _, in := range m.files {
		// PRAGMA takes no bound values; the number is ours.
		cache := fmt.Sprintf("PRAGMA cache_size = -%d", max(minCacheKiB, allCachesKiB/len(m.files)))
		if _, err := in.tx.ExecContext(ctx, cache); err != nil {
			return fmt.Errorf("%s: %w", in.path, err)
		}
		if err := in.open(ctx); err != nil {
			return fmt.Errorf("%s: %w", in.path, err)
		}
		if err := in.measure(ctx, &m.total); err != nil {
			return fmt.Errorf("%s: %w", in.path, err)
		}
		m.result.Files = append(m.result.Files, MergedFile{in.path, in.meta.WriterID, in.meta.Version})
	}
	for _, check := range []func() error{m.compareWriters, m.compareMeta, m.compareWidths} {
		if err := check(); err != nil {
			return err
		}
	}
	return m.compareSpans(ctx)
}

// open reads what a file says of itself.
func (in *mergeInput) open(ctx context.Context) (err error) {
	// The transaction decides: the file may have been migrated meanwhile.
	var id identity
	if id, err = readIdentity(ctx, in.tx); err == nil {
		err = id.checkPresent()
	}
	if err != nil {
		return err
	}
	found, err := quickCheckOnce(ctx, in.tx)
	if err != nil {
		return err
	}
	if found != "ok" {
		return fmt.Errorf("%w: %s; spanbucket verify shows more", errDamaged, found)
	}
	if in.values, err = metaValues(ctx, in.tx); err != nil {
		return fmt.Errorf("read meta: %w", err)
	}
	if in.meta, err = parseMeta(in.values); err != nil {
		return fmt.Errorf("read meta: %w", err)
	}
	in.inside = map[string]int64{}
	if err := eachRow(ctx, in.tx, "SELECT writer_id, version FROM merged_file", func(rows *sql.Rows) error {
		var writer string
		var version int64
		err := rows.Scan(&writer, &version)
		in.inside[writer] = version
		return err
	}); err != nil {
		return fmt.Errorf("read merged_file: %w", err)
	}
	in.inside[in.meta.WriterID] = in.meta.Version
	err = in.tx.QueryRowContext(ctx, "SELECT key, configured FROM fingerprint_key").Scan(&in.key, &in.configured)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read fingerprint_key: %w", err)
	}
	return nil
}

// measure adds about how many rows the large tables have.
func (in *mergeInput) measure(ctx context.Context, total *int64) error {
	for _, table := range []string{headlineTable.name, seriesTable.name, "request"} {
		var rows int64
		query := "SELECT coalesce(max(id) - min(id) + 1, 0) FROM " + table
		if err := in.tx.QueryRowContext(ctx, query).Scan(&rows); err != nil {
			return fmt.Errorf("count rows: %w", err)
		}
		*total += rows
	}
	return nil
}

// compareWriters refuses copies of one file, alone or within others.
func (m *merger) compareWriters() error {
	for i, in := range m.files {
		for _, other := range m.files[:i] {
			for _, writer := range slices.Sorted(maps.Keys(in.inside)) {
				if version, both := other.inside[writer]; both {
					return fmt.Errorf("%w: %s and %s hold the same spans: what writer %s wrote, up to version %d in one and %d in the other",
						ErrNotMergeable, other.path, in.path, writer, version, in.inside[writer])
				}
			}
		}
	}
	return nil
}

// compareWidths finds the widths of the new file.
func (m *merger) compareWidths() error {
	first := m.files[0]
	m.widths = slices.Clone(first.meta.Widths)
	for _, in := range m.files[1:] {
		same := slices.EqualFunc(first.meta.Widths, in.meta.Widths, func(a, b Width) bool {
			return a.Seconds == b.Seconds && a.Detail == b.Detail
		})
		if !same && !m.options.Align {
			return fmt.Errorf("%w: buckets are %s in %s and %s in %s: they must be the same, or be aligned",
				ErrNotMergeable, describeWidths(first.meta.Widths), first.path, describeWidths(in.meta.Widths), in.path)
		}
		m.widths = alignWidths(m.widths, in.meta.Widths)
		if len(m.widths) == 0 {
			return fmt.Errorf("%w: no width of buckets is in all files: %s in %s, %s in %s",
				ErrNotMergeable, describeWidths(first.meta.Widths), first.path, describeWidths(in.meta.Widths), in.path)
		}
	}
	return nil
}

// alignWidths returns the widths that both have, each with what both keep of it
// and the longer retention.
func alignWidths(a, b []Width) (common []Width) {
	for _, w := range a {
		i := slices.IndexFunc(b, func(other Width) bool { return other.Seconds == w.Seconds })
		if i < 0 {
			continue
		}
		if b[i].Detail == DetailHeadline {
			w.Detail = DetailHeadline
		}
		if forever := w.Retention == 0 || b[i].Retention == 0; forever {
			w.Retention = 0
		} else {
			w.Retention = max(w.Retention, b[i].Retention)
		}
		common = append(common, w)
	}
	return common
}

func (m *merger) widthsText(string) (string, error) { return widthsText(m.widths) }

// widthsText returns widths as meta holds them.
func widthsText(widths []Width) (string, error) {
	texts := make([]widthText, len(widths))
	for i, w := range widths {
		texts[i] = widthText{w.Seconds, int64(w.Retention.Seconds()), w.Detail.String()}
	}
	text, err := json.Marshal(texts)
	return string(text), err
}
