package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// maxTexts bounds each generation of a dictionary, in texts.
const maxTexts = 1 << 13

// dictionary remembers the ids of texts, at most twice maxTexts of them: once
// the young generation is full it takes the place of the old one, so that what
// is in use stays.
type dictionary struct {
	young, old map[string]int64
	lastID     int64 // the highest id in the file
}

func newDictionary(lastID int64) *dictionary {
	return &dictionary{young: map[string]int64{}, lastID: lastID}
}

func (d *dictionary) find(value string) (int64, bool) {
	if id, ok := d.young[value]; ok {
		return id, true
	}
	id, ok := d.old[value]
	if ok {
		d.remember(strings.Clone(value), id)
	}
	return id, ok
}

func (d *dictionary) remember(value string, id int64) {
	if len(d.young) >= maxTexts {
		d.old, d.young = d.young, make(map[string]int64, maxTexts)
	}
	d.young[value] = id
}

// textID returns the id of a text that is not empty, and what cleaning changed.
// Only clean texts are remembered: they are short.
func (w *writer) textID(ctx context.Context, raw string) (int64, aggregator.Note, error) {
	if id, ok := w.dictionary.find(raw); ok {
		return id, 0, nil
	}
	value, notes := aggregator.CleanText(raw)
	id, err := w.storedID(ctx, value)
	if err != nil {
		return 0, 0, fmt.Errorf("dictionary: %w", err)
	}
	if notes == 0 {
		w.dictionary.remember(strings.Clone(value), id) // not to hold on to the batch
	}
	return id, notes, nil
}

// storedID returns the id of a text in the file, and makes a row where it is
// new.
func (w *writer) storedID(ctx context.Context, value string) (id int64, err error) {
	err = w.scanOne(ctx, &id, "SELECT id FROM dictionary WHERE value = ?", value)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	w.dictionary.lastID++
	id = w.dictionary.lastID
	return id, w.exec(ctx, "INSERT INTO dictionary (id, value) VALUES (?, ?)", id, value)
}

func (w *writer) loadDictionary(ctx context.Context) error {
	var lastID int64
	if err := w.conn.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM dictionary").Scan(&lastID); err != nil {
		return fmt.Errorf("dictionary: %w", err)
	}
	w.dictionary = newDictionary(lastID)
	return nil
}
