package storage

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strconv"

	"github.com/spanbucket/spanbucketexporter/aggregator/dedup"
)

// fingerprintsAtOnce is how many fingerprints are compared in memory: 8 MiB.
const fingerprintsAtOnce = 1 << 20

// compareSpans counts the spans that the deduplication windows of several files
// hold.
func (m *merger) compareSpans(ctx context.Context) error {
	key := m.files[0].key
	m.result.Comparable = key != nil
	for _, in := range m.files[1:] {
		m.result.Comparable = m.result.Comparable && bytes.Equal(in.key, key)
	}
	if !m.result.Comparable || len(m.files) == 1 {
		return nil
	}
	spans := int64(0)
	for _, in := range m.files {
		var n int64
		if err := in.tx.QueryRowContext(ctx, "SELECT coalesce(sum(length(fingerprints) / 8), 0) FROM fingerprint").Scan(&n); err != nil {
			return fmt.Errorf("%s: read fingerprint: %w", in.path, err)
		}
		spans += n
	}
	parts := uint64(spans/fingerprintsAtOnce + 1)
	for part := range parts {
		if err := m.comparePart(ctx, part, parts); err != nil {
			return err
		}
	}
	if m.result.Overlap > 0 && !m.options.AllowOverlap {
		return &OverlapError{m.result.Overlap}
	}
	return nil
}

// comparePart compares the fingerprints that lie in one of so many equal parts
// of all numbers.
func (m *merger) comparePart(ctx context.Context, part, parts uint64) error {
	var all []uint64
	for _, in := range m.files {
		err := eachRow(ctx, in.tx, "SELECT fingerprints FROM fingerprint", func(rows *sql.Rows) error {
			var content sql.RawBytes
			if err := rows.Scan(&content); err != nil {
				return err
			}
			for ; len(content) >= fingerprintBytes; content = content[fingerprintBytes:] {
				fingerprint := binary.BigEndian.Uint64(content)
				if of, _ := bits.Mul64(fingerprint, parts); of == part {
					all = append(all, fingerprint)
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s: read fingerprint: %w", in.path, err)
		}
	}
	slices.Sort(all)
	for i := 1; i < len(all); i++ {
		if all[i] != all[i-1] {
			continue
		}
		m.result.Overlap++
		if n := len(m.common); m.options.AllowOverlap && (n == 0 || m.common[n-1] != all[i]) {
			m.common = append(m.common, all[i])
		}
	}
	return nil
}

// mergeFingerprints writes the deduplication window: where the files share a
// key, what all of them remember, else nothing, under a new key.
func (m *merger) mergeFingerprints(ctx context.Context) error {
	configured := m.result.Comparable
	var key dedup.Key
	if m.result.Comparable {
		copy(key[:], m.files[0].key)
	} else if _, err := rand.Read(key[:]); err != nil {
		return err
	}
	for _, in := range m.files {
		configured = configured && in.configured
	}
	const insert = "INSERT INTO fingerprint_key (id, key, configured) VALUES (1, ?, ?)"
	if err := m.exec(ctx, insert, key[:], configured); err != nil {
		return fmt.Errorf("write fingerprint_key: %w", err)
	}
	rows, err := m.fingerprintRows(ctx)
	if err != nil {
		return err
	}
	m.countRows("fingerprint", int64(len(rows)), 0)
	if !m.result.Comparable {
		m.leaveOut("fingerprint", 0, int64(len(rows)), LeftKeys)
		return nil
	}
	return m.writeFingerprints(ctx, rows)
}

// inputFingerprints is a row of fingerprint of one of the files.
type inputFingerprints struct {
	fingerprintRow
	in *mergeInput
}

// fingerprintRows returns the rows of all files in the order of their arrival,
// each after all of the one before, as rows of one file are.
func (m *merger) fingerprintRows(ctx context.Context) (all []inputFingerprints, err error) {
	for _, in := range m.files {
		const query = "SELECT id, first_arrival_s, last_arrival_s, length(fingerprints) / 8 FROM fingerprint"
		err := eachRow(ctx, in.tx, query, func(rows *sql.Rows) error {
			r := inputFingerprints{in: in}
			err := rows.Scan(&r.id, &r.firstArrival, &r.lastArrival, &r.spans)
			all = append(all, r)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("%s: read fingerprint: %w", in.path, err)
		}
	}
	slices.SortStableFunc(all, func(a, b inputFingerprints) int {
		return cmp.Or(cmp.Compare(a.lastArrival, b.lastArrival), cmp.Compare(a.firstArrival, b.firstArrival))
	})
	for i := 1; i < len(all); i++ {
		all[i].firstArrival = max(all[i].firstArrival, all[i-1].lastArrival)
	}
	return all, nil
}

// writeFingerprints writes as many of the newest rows as the window may hold,
// the newest first: what several files remember stays where it arrived last.
func (m *merger) writeFingerprints(ctx context.Context, rows []inputFingerprints) error {
	text, err := m.greatest("dedup_max_spans")
	if err != nil {
		return err
	}
	room, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("meta dedup_max_spans: %w", err)
	}
	written := make([]bool, len(m.common))
	for i, row := range slices.Backward(rows) {
		if room -= row.spans; room < 0 {
			m.leaveOut("fingerprint", 0, int64(i+1), LeftFull)
			return nil
		}
		var content []byte
		if err := row.in.tx.QueryRowContext(ctx, "SELECT fingerprints FROM fingerprint WHERE id = ?", row.id).Scan(&content); err != nil {
			return fmt.Errorf("%s: read fingerprint: %w", row.in.path, err)
		}
		if content = m.once(content, written); len(content) == 0 {
			continue
		}
		m.countRows("fingerprint", 0, 1)
		const insert = "INSERT INTO fingerprint (id, first_arrival_s, last_arrival_s, fingerprints) VALUES (?, ?, ?, ?)"
		if err := m.exec(ctx, insert, i+1, row.firstArrival, row.lastArrival, content); err != nil {
			return fmt.Errorf("write fingerprint: %w", err)
		}
	}
	return nil
}

// once takes away the fingerprints that are written already, and notes the
// others that several files have.
func (m *merger) once(content []byte, written []bool) []byte {
	if len(m.common) == 0 {
		return content
	}
	var rest []byte
	for _, fingerprint := range appendFingerprints(nil, content) {
		at, common := slices.BinarySearch(m.common, fingerprint)
		if common && written[at] {
			continue
		}
		if common {
			written[at] = true
		}
		rest = binary.BigEndian.AppendUint64(rest, fingerprint)
	}
	return rest
}
