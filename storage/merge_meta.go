package storage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

// mergeRules say what becomes of the keys of meta. Those of other keys are kept
// where all files agree.
var mergeRules = map[string]func(m *merger, key string) (value string, err error){
	"schema_version":           func(*merger, string) (string, error) { return strconv.Itoa(SchemaVersion), nil },
	"writer_version":           func(m *merger, _ string) (string, error) { return m.options.WriterVersion, nil },
	"version":                  func(*merger, string) (string, error) { return strconv.Itoa(mergedVersion), nil },
	"writer_id":                nil, // a new one
	"created_utc":              nil, // now
	"widths":                   (*merger).widthsText,
	"headline_category":        nil, // of what was written
	"open_run":                 nil, // who continues the file opens one
	"histogram_precision_bits": (*merger).sameValue,
	"settle_after_s":           (*merger).sameValue,
	"fault_gap_ns":             (*merger).sameValue,
	"max_series":               (*merger).greatest,
	"dedup_window_s":           (*merger).greatest,
	"dedup_max_spans":          (*merger).greatest,
	"keep_requests":            (*merger).greatest,
	"requests_ratio_micro":     (*merger).least,
	"requests_max_for_cause":   (*merger).mostForCause,
	metaCompleteFrom:           (*merger).requestsCompleteFrom,
	metaEstimableFrom:          (*merger).greatest,
	"options":                  (*merger).sameOrNone,
	keyPruneRequest:            nil, // it was for the collector of one file
	metaEstimatedFrom:          (*merger).least,
	metaEstimatedTo:            (*merger).greatest,
	// All of the files has room, until a collector says otherwise.
	"max_size":            noBound,
	"request_max_rows":    noBound,
	"request_retention_s": noBound,
}

// sameOrNone is the rule for what is told only where all files agree.
func (m *merger) sameOrNone(key string) (string, error) {
	for _, in := range m.files[1:] {
		if in.values[key] != m.files[0].values[key] {
			return "", nil
		}
	}
	return m.files[0].values[key], nil
}

func noBound(*merger, string) (string, error) { return "0", nil }

// mergedVersion is that of all rows: they come with the first commit.
const mergedVersion = 1

// compareMeta checks that the files agree where they must.
func (m *merger) compareMeta() error {
	for _, in := range m.files {
		if in.meta.PrecisionBits != histogram.PrecisionBits {
			return fmt.Errorf("%w: %s: histogram_precision_bits is %d, known is %d",
				ErrNotMergeable, in.path, in.meta.PrecisionBits, histogram.PrecisionBits)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(mergeRules)) {
		if rule := mergeRules[key]; rule != nil && key != "widths" {
			if _, err := rule(m, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// sameValue is the rule for what all files must agree in.
func (m *merger) sameValue(key string) (string, error) {
	first := m.files[0]
	for _, in := range m.files[1:] {
		if in.values[key] != first.values[key] {
			return "", fmt.Errorf("%w: %s is %s in %s and %s in %s: it must be the same",
				ErrNotMergeable, key, orNone(first.values[key]), first.path, orNone(in.values[key]), in.path)
		}
	}
	return first.values[key], nil
}

func orNone(value string) string {
	if value == "" {
		return "missing"
	}
	return value
}

func (m *merger) greatest(key string) (string, error) {
	return m.extreme(key, func(a, b int64) bool { return a > b })
}

func (m *merger) least(key string) (string, error) {
	return m.extreme(key, func(a, b int64) bool { return a < b })
}

// extreme is the rule for numbers of which one wins. A file without is passed
// over.
func (m *merger) extreme(key string, wins func(a, b int64) bool) (string, error) {
	var winner int64
	found := false
	for _, in := range m.files {
		text, there := in.values[key]
		if !there {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return "", fmt.Errorf("%s: meta %s: %q is not an integer", in.path, key, text)
		}
		if !found || wins(n, winner) {
			winner, found = n, true
		}
	}
	if !found {
		return "", nil
	}
	return strconv.FormatInt(winner, 10), nil
}

// requestsCompleteFrom is the rule for the start from which on every span has a
// row that stands for it alone.
func (m *merger) requestsCompleteFrom(key string) (string, error) {
	text, err := m.greatest(key)
	if err != nil || m.sampledUntil == 0 {
		return text, err
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= m.sampledUntil {
		return text, nil
	}
	return strconv.FormatInt(m.sampledUntil, 10), nil
}

// writeMeta writes what the new file says of itself.
func (m *merger) writeMeta(ctx context.Context) error {
	keys := map[string]bool{}
	for key := range mergeRules {
		keys[key] = true
	}
	for _, in := range m.files {
		for key := range in.values {
			keys[key] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		rule, known := mergeRules[key]
		if !known {
			rule = (*merger).sameOrNone
		}
		if rule == nil {
			continue
		}
		value, err := rule(m, key)
		if err == nil && value != "" {
			err = setMeta(ctx, m.out, key, value)
		}
		if err != nil {
			return err
		}
	}
	seen := map[aggregator.Category]bool{}
	if err := eachCategory(ctx, m.out, func(c aggregator.Category) { seen[c] = true }); err != nil {
		return err
	}
	return setMeta(ctx, m.out, "headline_category", headlineCategory(seen))
}
