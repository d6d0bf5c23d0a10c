package tables_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func TestWrap(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"one":                       "one",
		"one two three":             "one two\nthree",
		"  one   two  ":             "one two",
		"exactlyten":                "exactlyten",
		"a exactlyten b":            "a\nexactlyten\nb",
		"far longer than ten words": "far longer\nthan ten\nwords",
		"東京 東京 東京":                  "東京 東京\n東京",
	} {
		require.Equal(t, want, tables.Wrap(text, 10), text)
	}
	long := tables.Wrap("a "+strings.Repeat("x", 50), 10)
	for line := range strings.SplitSeq(long, "\n") {
		require.LessOrEqual(t, tables.DisplayWidth(line), 10)
	}
}
