package spanbucketexporter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// canary stands in all content of the golden spans. No part of it may be found
// anywhere that the exporter writes.
const canary = "CANARY-7f3a"

// goldenCase is a batch as an instrumentation sends it, and the rows that it
// has to become, which were written by hand.
type goldenCase struct {
	name string
	text []byte
	want map[string][]map[string]any
}

// batch decodes the spans anew: each sender has its own.
func (c *goldenCase) batch(t *testing.T) ptrace.Traces {
	t.Helper()
	batch, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(c.text)
	require.NoError(t, err, c.name)
	return batch
}

// goldenCases returns the cases of testdata/dialects, by name.
func goldenCases(t *testing.T) (cases []goldenCase) {
	t.Helper()
	files, err := filepath.Glob("testdata/dialects/*/*.want.json")
	require.NoError(t, err)
	for _, file := range files {
		base := strings.TrimSuffix(file, ".want.json")
		c := goldenCase{name: filepath.ToSlash(strings.TrimPrefix(base, filepath.Join("testdata", "dialects")+string(filepath.Separator)))}
		c.text, err = os.ReadFile(base + ".json")
		require.NoError(t, err)
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		decoder := json.NewDecoder(bytes.NewReader(want))
		decoder.UseNumber()
		require.NoError(t, decoder.Decode(&c.want), file)
		cases = append(cases, c)
	}
	require.Greater(t, len(cases), 100)
	return cases
}

// rowText writes what a row says as lines of column and value. NULL, the empty
// string and columns that are left out say nothing. Numbers are written alike,
// whichever engine or file they come from.
func rowText(r map[string]any, columns []string) string {
	var text strings.Builder
	for _, name := range columns {
		if value := valueText(r[name]); value != "" {
			fmt.Fprintf(&text, "  %s = %s\n", name, value)
		}
	}
	return text.String()
}

func valueText(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case int64:
		return strconv.FormatInt(value, 10)
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	case json.Number:
		if n, err := value.Int64(); err == nil {
			return strconv.FormatInt(n, 10)
		}
		if f, err := value.Float64(); err == nil {
			return strconv.FormatFloat(f, 'f', -1, 64)
		}
		return value.String()
	case string:
		if value == "" {
			return ""
		}
		return strconv.Quote(value)
	default:
		return fmt.Sprintf("%T %v", value, value)
	}
}

// rowTexts writes rows in an order that only depends on them.
func rowTexts[R ~map[string]any](rows []R, columns []string) []string {
	texts := make([]string, len(rows))
	for i, r := range rows {
		texts[i] = rowText(r, columns)
	}
	slices.Sort(texts)
	return texts
}

// requireSameRows compares rows as a bag, and names a few of those that only
// one side has.
func requireSameRows[W, G ~map[string]any](t *testing.T, columns []string, want []W, got []G, what string) {
	t.Helper()
	requireSameTexts(t, rowTexts(want, columns), rowTexts(got, columns), what)
}

// requireSameTexts is requireSameRows for rows that are written already.
func requireSameTexts(t *testing.T, want, got []string, what string) {
	t.Helper()
	balance := map[string]int{}
	for _, text := range want {
		balance[text]++
	}
	for _, text := range got {
		balance[text]--
	}
	const most = 3
	missing, unexpected := 0, 0
	var report strings.Builder
	for _, text := range slices.Sorted(maps.Keys(balance)) {
		switch n := balance[text]; {
		case n > 0:
			if missing++; missing <= most {
				fmt.Fprintf(&report, "\nmissing, %d times:\n%s", n, text)
			}
		case n < 0:
			if unexpected++; unexpected <= most {
				fmt.Fprintf(&report, "\nunexpected, %d times:\n%s", -n, text)
			}
		}
	}
	if missing+unexpected > 0 {
		t.Fatalf("%s: %d rows missing, %d unexpected%s", what, missing, unexpected, report.String())
	}
}
