package query_test

import (
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/query"
)

// rankOf returns the value of rank ceil(p*n) of ascending values, p in percent.
func rankOf(values []int64, percent string) int64 {
	p, _ := new(big.Rat).SetString(percent)
	p.Mul(p, big.NewRat(int64(len(values)), 100))
	rank := new(big.Int).Add(p.Num(), new(big.Int).Sub(p.Denom(), big.NewInt(1)))
	return values[max(rank.Div(rank, p.Denom()).Int64(), 1)-1]
}

// The functions over all series and buckets of a file agree with the raw
// durations, however they are grouped.
func TestHistogramFunctionsAgreeWithTheSpans(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	spans := filetest.Traffic(2000)
	filetest.Write(t, filetest.Options(path, filetest.Begin.Add(time.Hour)), spans)
	byModel := map[string][]int64{}
	for i := range spans {
		if d, ok := spans[i].Measure(aggregator.MeasureDuration); ok {
			byModel[spans[i].Series.Model] = append(byModel[spans[i].Series.Model], d)
		}
	}
	require.Greater(t, len(byModel), 2)
	for _, width := range []int{10, 300, 3600} {
		for name, percent := range map[string]string{"'p50'": "50", "0.9": "90", "'p99.9'": "99.9", "0": "0", "1": "100", "0.07": "7"} {
			got := map[string]int64{}
			for _, row := range ask(t, path, fmt.Sprintf(`SELECT coalesce(model, ''),
				histogram_percentile(histogram_merge(histogram), %s, min(min_ns), max(max_ns))
				FROM histograms JOIN latency USING (width_s, bucket_start, series_id)
				WHERE measure = 'duration' AND width_s = %d GROUP BY 1`, name, width)) {
				got[row[0].(string)] = row[1].(int64)
			}
			require.Len(t, got, len(byModel))
			for model, values := range byModel {
				slices.Sort(values)
				want := rankOf(values, percent)
				if percent == "0" || percent == "100" {
					require.Equal(t, want, got[model], "%s %s", model, percent)
				}
				require.InEpsilon(t, want, got[model], 1.0/128, "%s %s", model, percent)
			}
		}
	}
}

// text writes a histogram by its definition.
func text(values []int64) string {
	counts := map[histogram.Bin]int{}
	var bins []histogram.Bin
	for _, v := range values {
		b := histogram.BinOf(v)
		if counts[b]++; counts[b] == 1 {
			bins = append(bins, b)
		}
	}
	slices.Sort(bins)
	var members []string
	for _, b := range bins {
		members = append(members, fmt.Sprintf(`"%d":%d`, b, counts[b]))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// Merging is adding: any partition of the values gives the same text.
func TestMergeOfAnyPartition(t *testing.T) {
	path := makeFile(t)
	random := seedtest.Rand(t)
	for range 20 {
		parts := make([][]int64, 1+random.IntN(5))
		var all []int64
		for range random.IntN(200) {
			v := random.Int64() >> random.UintN(63)
			i := random.IntN(len(parts))
			parts[i], all = append(parts[i], v), append(all, v)
		}
		rows := []string{"(NULL)"}
		for _, part := range parts {
			rows = append(rows, "('"+text(part)+"')")
		}
		require.Equal(t, text(all), ask(t, path, "WITH h (t) AS (VALUES "+strings.Join(rows, ",")+") SELECT histogram_merge(t) FROM h")[0][0])
	}
}

func TestHistogramFunctionsAtTheEdges(t *testing.T) {
	path := makeFile(t)
	const two = `'{"954":1,"1591":3}'` // 1 ms and 1 s
	for expression, want := range map[string]any{
		"histogram_merge(NULL)": nil, "histogram_merge('{}')": "{}",
		"(SELECT histogram_merge(value) FROM meta WHERE 0)": nil,
		"histogram_percentile(NULL, 0.5)":                   nil, "histogram_percentile('{}', 0.5)": nil,
		"histogram_percentile(" + two + ", NULL)":          nil,
		`histogram_percentile('{"5":1}', 0.5)`:             int64(5),
		"histogram_percentile(" + two + ", 0)":             histogram.Bin(954).Mid(),
		"histogram_percentile(" + two + ", 0.25)":          histogram.Bin(954).Mid(),
		"histogram_percentile(" + two + ", 0.2501)":        histogram.Bin(1591).Mid(),
		"histogram_percentile(" + two + ", 'p25')":         histogram.Bin(954).Mid(),
		"histogram_percentile(" + two + ", 'p25.1')":       histogram.Bin(1591).Mid(),
		"histogram_percentile(" + two + ", 0.24 + 0.01)":   histogram.Bin(954).Mid(),
		"histogram_percentile(" + two + ", 'p25.0000001')": histogram.Bin(1591).Mid(),
		"histogram_percentile(" + two + ", 1)":             histogram.Bin(1591).Mid(),
		// Rank 1 and rank n are exact; between them nothing lies outside.
		"histogram_percentile(" + two + ", 0, 1000001, 998244353)":     int64(1000001),
		"histogram_percentile(" + two + ", 1, 1000001, 998244353)":     int64(998244353),
		"histogram_percentile(" + two + ", 'p75', 1000001, 998244353)": int64(998244353),
		"histogram_percentile(" + two + ", 'p75', 1000001, NULL)":      nil,
	} {
		require.Equal(t, want, ask(t, path, "SELECT "+expression)[0][0], expression)
	}
	for expression, says := range map[string]string{
		`histogram_merge('{"5":1')`:                            "text is not",
		`histogram_merge('{"5":0}')`:                           "bins must ascend and hold something",
		`histogram_merge('{"6":1,"5":1}')`:                     "bins must ascend",
		`histogram_merge('{"3712":1}')`:                        "text is not",
		`histogram_merge('{"5": 1}')`:                          "text is not",
		`histogram_merge(x'7b7d')`:                             "must be text",
		`histogram_merge(5)`:                                   "must be text",
		`histogram_merge('{"5":9223372036854775807,"6":1}')`:   "sum exceeds",
		"histogram_percentile(" + two + ", 'p99.12345678')":    "with at most 7 digits behind the point, got 99.12345678",
		"histogram_percentile(" + two + ", 1.0 / 3)":           "with at most 9 digits behind the point, got 0.33333333333333",
		"histogram_percentile(" + two + ", 99)":                "p must be a fraction from 0 to 1",
		"histogram_percentile(" + two + ", -0.1)":              "p must be",
		"histogram_percentile(" + two + ", 9e999)":             "p must be",
		"histogram_percentile(" + two + ", '0.99')":            "p must be",
		"histogram_percentile(" + two + ", 'p')":               "p must be",
		"histogram_percentile(" + two + ", 'p101')":            "p must be",
		"histogram_percentile(" + two + ", 'p-1')":             "p must be",
		"histogram_percentile(" + two + ", x'00')":             "p must be",
		"histogram_percentile(" + two + ", 0.5, 5, 998244353)": "min_ns is 5, and the first bin reaches from 999424",
		"histogram_percentile(" + two + ", 0.5, 1000001, 9)":   "max_ns is 9, and the last bin",
		"histogram_percentile(" + two + ", 0.5, 'a', 9)":       "min_ns must be an integer",
		"histogram_percentile(" + two + ")":                    "wrong number of arguments",
		"(SELECT histogram_merge(h) FROM (SELECT '{\"5\":9223372036854775807}' AS h UNION ALL SELECT '{\"5\":1}'))": "sum exceeds",
	} {
		_, err := query.Ask(t.Context(), path, "SELECT "+expression, query.ForPerson())
		require.ErrorIs(t, err, query.ErrQuery, expression)
		require.ErrorContains(t, err, says, expression)
	}
}

// instr, replace and trim are ours; they do what the engine's do.
func TestTextFunctionsAreTheEngines(t *testing.T) {
	path := makeFile(t)
	values := []string{"''", "'a'", "'aba'", "'  a b '", "'äöüä'", "'ä'", "'xxaxx'", "'x'", "NULL", "12.50", "121", "x'616261'", "x'61'", "' '"}
	for _, a := range append(values, "x'ff'") { // the last one is no text
		var list []string
		for _, function := range []string{"trim", "ltrim", "rtrim"} {
			list = append(list, function+"("+a+")")
		}
		for _, b := range values {
			list = append(list, "replace("+a+", "+b+", '-')")
			for _, function := range []string{"instr", "trim", "ltrim", "rtrim"} {
				list = append(list, function+"("+a+", "+b+")")
			}
		}
		text := "SELECT " + strings.Join(list, ", ") + ", typeof(" + strings.Join(list, "), typeof(") + ")"
		want, err := query.AskPlain(t.Context(), path, text)
		require.NoError(t, err)
		got := ask(t, path, text)[0]
		for i := range got {
			require.Equal(t, want[i], got[i], list[i%len(list)])
		}
	}
}
