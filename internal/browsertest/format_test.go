package browsertest

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// The page writes numbers as the command line does.
func TestNumbersAreThoseOfTheCommandLine(t *testing.T) {
	rng := seedtest.Rand(t)
	values := []float64{0, 1, 0.5, 1.5, 2.5, 0.05, 0.25, 0.125, 0.375, 1e-7, 5e-7, 0.0005, 0.00049, 0.9994, 0.9995, 0.99951, 9.995, 99.95, 999.95, 999.5, 1000, 1000.5, 1e6, 1e9, 123456789.5}
	for range 3000 {
		v := math.Exp(rng.Float64()*40 - 16)
		values = append(values, v, math.Round(v*100)/100, math.Round(v*8)/8)
	}
	var counts []int64
	var want []string
	for _, v := range values {
		n := int64(v)
		counts = append(counts, n)
		share := math.Mod(v, 1)
		want = append(want, tables.MS(&v), tables.Percent(&share)+"\u00a0%", "$"+tables.USD(&v), tables.Count(n), tables.Compact(&n))
	}
	script, err := os.ReadFile("../../report/page/assets/format.js")
	require.NoError(t, err)
	given, err := json.Marshal(map[string]any{"values": values, "counts": counts})
	require.NoError(t, err)
	b := open(t, looks[0], "about:blank")
	got := eval[[]string](b, fmt.Sprintf(`(() => { %s
		const given = %s;
		return given.values.flatMap((v, i) => [ms(v), percent(v %% 1), usd(v), count(given.counts[i]), compact(given.counts[i])]);
	})()`, script, given))
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, want[i], got[i], "%v", values[i/5])
	}
	missing := eval[[]string](b, fmt.Sprintf(`(() => { %s
		return [null, undefined, NaN, Infinity].flatMap((v) => [ms(v), percent(v), usd(v), count(v), compact(v), seconds(v), rate(v), clock(v)]);
	})()`, script))
	require.Equal(t, strings.Repeat("–", len(missing)), strings.Join(missing, ""))
	require.Equal(t, []string{"2026-01-30 10:00:20", "2026-01-30 10:00:20", "2026-01-30 10:00:20 – :30", "2026-01-30 10:00:50 – 10:01:00", "2026-01-30 23:59:50 – 2026-01-31 00:00:00", "–"},
		eval[[]string](b, fmt.Sprintf(`(() => { %s
		return [["2026-01-30T10:00:20Z"], ["2026-01-30T10:00:20Z", 1], ["2026-01-30T10:00:20Z", 10], ["2026-01-30T10:00:50Z", 10], ["2026-01-30T23:59:50Z", 10], [null, 10]].map((a) => seen(...a));
	})()`, script)))
	require.Equal(t, []string{"3.00 ms", "1.5 s", "10 s", "1 min", "1 min 1 s", "1 h", "1 h 1 min", "2 d 3 h", "−5 s"}, eval[[]string](b, fmt.Sprintf(`(() => { %s
		return [0.003, 1.5, 10, 60, 61, 3600, 3661, 183600, -5].map(seconds);
	})()`, script)))
}
