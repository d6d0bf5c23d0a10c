package storage

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator/dedup"
)

// reliabilitySince is the first schema version with these tables.
const reliabilitySince = 4

// The rules about what was delivered twice, or could not be folded.
const (
	ruleFingerprints   = "holds whole fingerprints, none of them 0"
	ruleArrival        = "the first span arrived before the last"
	ruleArrivalOrder   = "rows are in the order of arrival"
	ruleOnceInWindow   = "a span is remembered once"
	ruleWindowSize     = "not more spans are remembered than are to be, and were received"
	ruleFingerprintKey = "fingerprints have a key of 16 bytes"
	ruleLetters        = "is the spans of all dead letters, and of those that were deleted"
	ruleAttemptOrder   = "the first attempt was before the last"
	ruleSome           = "is 1 or more"
)

// letterRules are the rules for what could not be folded.
var letterRules = []*tableRules{
	{
		table: "dead_letter", from: "dead_letter", row: "'id=' || id",
		rules: []rowRule{
			{"first_ns", ruleAttemptOrder, "first_ns <= 0 OR first_ns > last_ns", "more than 0, at most last_ns"},
			{"attempts", ruleSome, "attempts < 1", "1 or more"},
			{"reason", ruleKnown, "reason NOT IN ('" + strings.Join(failureNames[:], "', '") + "')", "a reason"},
			{"octet_length(error)", ruleClean, fmt.Sprintf("octet_length(error) > %d", maxErrorBytes), strconv.Itoa(maxErrorBytes) + " bytes or less"},
			{"spans", ruleSome, "spans < 1", "1 or more"},
			{"due", ruleKnown, "due NOT IN (0, 1)", "0 or 1"},
			{"payload", ruleNotEmpty, "length(payload) = 0", "OTLP"},
		},
	},
	{
		table: "failed_batch", from: "failed_batch", row: "'batch_key=' || batch_key",
		rules: []rowRule{
			{"first_ns", ruleAttemptOrder, "first_ns <= 0 OR first_ns > last_ns", "more than 0, at most last_ns"},
			{"attempts", ruleSome, "attempts < 1", "1 or more"},
		},
	},
}

// checkReliability checks what is remembered of spans that arrived, dead
// letters, and the run that is open.
func (v *verifier) checkReliability(ctx context.Context) error {
	if v.meta.SchemaVersion < reliabilitySince {
		return nil
	}
	for _, t := range letterRules {
		if err := v.checkRules(ctx, t); err != nil {
			return err
		}
	}
	for _, check := range []func(context.Context) error{v.checkLetters, v.checkWindow, v.checkFingerprints} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	if open, there := v.values["open_run"]; there && !v.runs[open] {
		return v.report(Problem{Relation: "meta", Row: "key=open_run", Rule: ruleRun, Stored: strconv.Quote(open), Expected: "a run"})
	}
	return nil
}

// checkLetters compares the ledger with the letters.
func (v *verifier) checkLetters(ctx context.Context) error {
	if v.broken["dead_letter"] || v.broken["ledger"] || v.broken["notes"] {
		return nil
	}
	var counted, held int64
	const query = `SELECT coalesce((SELECT spans FROM ledger WHERE reason = 'dead_letter'), 0),
		coalesce((SELECT sum(spans) FROM dead_letter), 0) + coalesce((SELECT spans FROM notes WHERE reason = 'dead_letter_purged'), 0)`
	if err := v.tx.QueryRowContext(ctx, query).Scan(&counted, &held); err != nil {
		return err
	}
	if counted == held {
		return nil
	}
	return v.report(Problem{
		Relation: "ledger", Row: "reason=dead_letter", Column: "spans", Rule: ruleLetters,
		Stored: fmt.Sprint(counted), Expected: fmt.Sprint(held),
	})
}

// checkWindow checks what bounds the deduplication window.
func (v *verifier) checkWindow(ctx context.Context) error {
	var spans, received int64
	var key bool
	const query = `SELECT (SELECT coalesce(sum(length(fingerprints) / 8), 0) FROM fingerprint),
		coalesce((SELECT spans FROM ledger WHERE reason = 'received'), 0) - coalesce((SELECT spans FROM ledger WHERE reason = 'duplicate'), 0),
		EXISTS (SELECT 1 FROM fingerprint_key WHERE length(key) = 16)`
	if err := v.tx.QueryRowContext(ctx, query).Scan(&spans, &received, &key); err != nil {
		return err
	}
	for _, name := range []string{"dedup_max_spans", "dedup_window_s"} {
		stored, there := v.values[name]
		if n, err := strconv.ParseInt(stored, 10, 64); err != nil && there || n < 0 {
			return v.metaProblem(name, strconv.Quote(stored), "an integer, 0 or more")
		}
	}
	if !key && spans > 0 {
		return v.report(Problem{Relation: "fingerprint_key", Rule: ruleFingerprintKey, Stored: "none", Expected: "a key"})
	}
	most := received
	if limit, err := strconv.ParseInt(v.values["dedup_max_spans"], 10, 64); err == nil {
		most = min(limit, received)
	}
	if spans <= most || v.broken["ledger"] {
		return nil
	}
	return v.report(Problem{
		Relation: "fingerprint", Rule: ruleWindowSize, Stored: fmt.Sprintf("%d spans", spans), Expected: fmt.Sprintf("%d or less", most),
	})
}

// checkFingerprints reads all fingerprints. It reports the first of those that
// are there twice.
func (v *verifier) checkFingerprints(ctx context.Context) error {
	var window dedup.Window
	var before int64
	twice := false
	const query = "SELECT id, first_arrival_s, last_arrival_s, fingerprints FROM fingerprint ORDER BY id"
	return v.each(ctx, query, func(rows *sql.Rows) error {
		var id, first, last int64
		var content sql.RawBytes
		if err := rows.Scan(&id, &first, &last, &content); err != nil {
			return err
		}
		p := Problem{Relation: "fingerprint", Row: "id=" + strconv.FormatInt(id, 10)}
		text := func(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }
		switch {
		case first > last:
			p.Column, p.Rule, p.Stored, p.Expected = "first_arrival_s", ruleArrival, text(first), "at most "+text(last)
		case before != 0 && first < before:
			p.Column, p.Rule, p.Stored, p.Expected = "first_arrival_s", ruleArrivalOrder, text(first), text(before)+" or later"
		case len(content) == 0 || len(content)%fingerprintBytes != 0:
			p.Column, p.Rule, p.Stored, p.Expected = "fingerprints", ruleFingerprints, fmt.Sprintf("%d bytes", len(content)), "a multiple of 8"
		}
		before = max(before, last)
		for ; len(content) >= fingerprintBytes && p.Rule == ""; content = content[fingerprintBytes:] {
			fingerprint := binary.BigEndian.Uint64(content)
			switch {
			case fingerprint == 0:
				p.Column, p.Rule, p.Stored, p.Expected = "fingerprints", ruleFingerprints, "0", "another number"
			case !window.Load(fingerprint) && !twice:
				twice = true
				p.Column, p.Rule, p.Stored, p.Expected = "fingerprints", ruleOnceInWindow, fmt.Sprintf("%016x again", fingerprint), "others"
			}
		}
		if p.Rule == "" {
			return nil
		}
		return v.report(p)
	})
}
