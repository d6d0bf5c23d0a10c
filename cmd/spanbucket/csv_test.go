package main

import (
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

func TestSafeCells(t *testing.T) {
	for text, want := range map[string]string{
		"":          "",
		"plain":     "plain",
		"a=b":       "a=b",
		"3-4":       "3-4",
		"gpt-4o":    "gpt-4o",
		"=1+1":      "'=1+1",
		"+1":        "'+1",
		"-1":        "'-1",
		"@SUM(A1)":  "'@SUM(A1)",
		"＝1＋1":      "'＝1＋1",
		"＋1":        "'＋1",
		"－1":        "'－1",
		"−1":        "'−1",
		"＠x":        "'＠x",
		"  =1":      "'  =1",
		"\u00a0=1":  "'\u00a0=1",
		"\u3000＝1":  "'\u3000＝1",
		`"=1"`:      `'"=1"`,
		"'=1":       "''=1",
		"''=1":      "'''=1",
		"'fine":     "'fine",
		" '\" fine": " '\" fine",
		"\tx":       "'\tx",
		"\rx":       "'\rx",
		"\nx":       "'\nx",
		" \n":       "' \n",
		"a\tb\nc":   "a\tb\nc",
		"\x1b[31m":  "\ufffd[31m",
		"\x1b=1":    "'\ufffd=1",
		"\x00=1":    "'\ufffd=1",
		"\u200b=1":  "'\ufffd=1",
		"a\u202eb":  "a\ufffdb",
		"a\xffb":    "a\ufffdb",
		"日本語":       "日本語",
	} {
		require.Equal(t, want, safeCell(text), "%q", text)
	}
}

// TestSafeCellsCanBeTakenBack: one apostrophe goes where what follows it begins
// as a formula does, and what is left is the text. No cell begins as one.
func TestSafeCellsCanBeTakenBack(t *testing.T) {
	rng := seedtest.Rand(t)
	for range 20_000 {
		text := randomText(rng, []rune("=+-@＝＋－＠ \t\r\n'\"ab1\u00a0é,;"))
		cell := safeCell(text)
		first := strings.TrimLeftFunc(cell, unicode.IsSpace)
		require.False(t, first != "" && strings.ContainsAny(first[:1], "=+-@"), "%q as %q", text, cell)
		if rest, found := strings.CutPrefix(cell, "'"); found && isFormula(rest) {
			cell = rest
		}
		require.Equal(t, text, cell)
	}
}

func randomText(rng *rand.Rand, from []rune) string {
	text := make([]rune, rng.IntN(8))
	for i := range text {
		text[i] = from[rng.IntN(len(from))]
	}
	return string(text)
}

// TestCSVIsReadBack writes random rows as they are and reads them with the
// standard library.
func TestCSVIsReadBack(t *testing.T) {
	rng := seedtest.Rand(t)
	for range 500 {
		var want [][]string
		var out strings.Builder
		columns := 1 + rng.IntN(3)
		w := newCSVWriter(&out, true)
		for range 1 + rng.IntN(5) {
			record, values := make([]string, columns), make([]any, columns)
			for i := range record {
				// A reader makes line feeds of carriage returns.
				record[i] = randomText(rng, []rune("=\n\t'\", ab;\u00a0é"))
				values[i] = record[i]
			}
			want = append(want, record)
			require.NoError(t, w.row(values))
		}
		require.NoError(t, w.flush())
		got, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
		require.NoError(t, err, out.String())
		require.Equal(t, want, got)
	}
}

func TestNumbersAreReadBackTheSame(t *testing.T) {
	rng := seedtest.Rand(t)
	for range 5_000 {
		want := (rng.Float64() - 0.5) * []float64{1, 1e-300, 1e300, 1e15}[rng.IntN(4)]
		var got float64
		_, err := fmt.Sscan(csvCell(want, safeCell), &got)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}
