package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// optionsText returns the options as meta holds them: all but secrets and what
// belongs to one process.
func optionsText(o *Options) (string, error) {
	text, err := json.Marshal(o)
	return string(text), err
}

// ReadOptions reads into o the options that the file at path was last written
// with, so that it can be opened as it is. What the file does not say stays as
// it is in o. Errors are those of OpenReader.
func ReadOptions(ctx context.Context, path string, o *Options) (err error) {
	r, err := OpenReader(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return r.View(ctx, func(tx *sql.Tx) error {
		values, err := metaValues(ctx, tx)
		if err != nil {
			return err
		}
		if err := readOptions(values, o); err != nil {
			return fmt.Errorf("read meta: %w", err)
		}
		all, err := ReadObjectives(ctx, tx)
		if err != nil {
			return err
		}
		o.Objectives = configured(all)
		o.Path = path
		return nil
	})
}

func readOptions(values map[string]string, o *Options) error {
	if text, found := values["options"]; found {
		if err := json.Unmarshal([]byte(text), o); err != nil {
			return fmt.Errorf("options: %w", err)
		}
	}
	// Older files, and those that were made of others, say only this.
	meta, err := parseMeta(values)
	if err != nil {
		return err
	}
	o.Widths, o.SettleAfter = meta.Widths, meta.SettleAfter
	for key, set := range map[string]func(int64){
		"max_series":      func(n int64) { o.Limits.MaxSeries = int(n) },
		"fault_gap_ns":    func(n int64) { o.FaultGap = time.Duration(n) },
		"dedup_window_s":  func(n int64) { o.DedupWindow = time.Duration(n) * time.Second },
		"dedup_max_spans": func(n int64) { o.DedupMaxSpans = int(n) },
	} {
		text, found := values[key]
		if !found {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %q is not an integer", key, text)
		}
		set(n)
	}
	return nil
}
