package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrOtherWidths is returned by Open for a file with spans in buckets of other
// widths than the configured ones: a width that is new to it would lack all
// that came before. It is left untouched.
var ErrOtherWidths = errors.New("file has other bucket widths")

// describe writes what follows the configuration, in one transaction: rows of
// meta, the objectives, and the fault windows it knows of.
func describe(ctx context.Context, conn *sql.Conn, o *Options) (err error) {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, rollback := conn.ExecContext(ctx, "ROLLBACK")
			err = errors.Join(err, rollback)
		}
	}()
	if err := checkWidths(ctx, conn, o.Widths); err != nil {
		return err
	}
	widths, err := widthsText(o.Widths)
	if err != nil {
		return err
	}
	options, err := optionsText(o)
	if err != nil {
		return err
	}
	for _, row := range [][2]string{
		{"schema_version", strconv.Itoa(SchemaVersion)},
		{"widths", widths},
		{"settle_after_s", strconv.FormatInt(o.settleSeconds(), 10)},
		{"max_series", strconv.Itoa(o.Limits.MaxSeries)},
		{"fault_gap_ns", strconv.FormatInt(int64(o.FaultGap), 10)},
		{"keep_requests", map[bool]string{true: "0", false: "1"}[orAll(o.Sampling).KeepsNone()]},
		{"requests_ratio_micro", strconv.FormatInt(orAll(o.Sampling).RatioMicro, 10)},
		{"requests_max_for_cause", strconv.Itoa(orAll(o.Sampling).MaxForCause)},
		{"dedup_window_s", strconv.FormatInt(int64(o.DedupWindow/time.Second), 10)},
		{"dedup_max_spans", strconv.Itoa(o.DedupMaxSpans)},
		{"request_retention_s", strconv.FormatInt(int64(o.RequestRetention/time.Second), 10)},
		{"request_max_rows", strconv.FormatInt(o.RequestMaxRows, 10)},
		{"max_size", strconv.FormatInt(o.MaxSize, 10)},
		{"writer_version", o.WriterVersion},
		{"options", options},
	} {
		if err := setMeta(ctx, conn, row[0], row[1]); err != nil {
			return err
		}
	}
	if err := pinConfigured(ctx, conn, o); err != nil {
		return err
	}
	if err := describeFingerprints(ctx, conn, o); err != nil {
		return err
	}
	if err := describeObjectives(ctx, conn, o); err != nil {
		return err
	}
	if err := replaceConfiguredWindows(ctx, conn, o.FaultWindows); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

// pinConfigured pins the configured run where the file has it already: before
// its next span, lest it leaves until then.
func pinConfigured(ctx context.Context, conn *sql.Conn, o *Options) error {
	if !o.RunPinned || o.RunID == "" {
		return nil
	}
	result, err := conn.ExecContext(ctx, "UPDATE run SET pinned = 1 WHERE run_id = ? AND NOT pinned", o.RunID)
	if err != nil {
		return fmt.Errorf("write run: %w", err)
	}
	if pinned, err := result.RowsAffected(); err != nil || pinned == 0 {
		return err
	}
	if _, err := conn.ExecContext(ctx, pinProfiles, pinnedNewest, o.RunID); err != nil {
		return fmt.Errorf("write request_profile: %w", err)
	}
	return nil
}

// checkWidths compares the widths of a file that holds spans with the
// configured ones; retention may differ.
func checkWidths(ctx context.Context, conn *sql.Conn, configured []Width) error {
	var used bool
	err := conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM headline_bucket)").Scan(&used)
	if err != nil || !used {
		return err
	}
	meta, err := ReadMeta(ctx, conn)
	if err != nil {
		return err
	}
	same := slices.EqualFunc(meta.Widths, configured, func(a, b Width) bool {
		return a.Seconds == b.Seconds && a.Detail == b.Detail
	})
	if !same {
		return fmt.Errorf("buckets: %s: must stay as they are in the file, %s, or path must name a new one: %w",
			describeWidths(configured), describeWidths(meta.Widths), ErrOtherWidths)
	}
	return nil
}

func describeWidths(widths []Width) string {
	texts := make([]string, len(widths))
	for i, w := range widths {
		texts[i] = fmt.Sprintf("%ds (%s)", w.Seconds, w.Detail)
	}
	return strings.Join(texts, ", ")
}
