package browsertest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// In every look every chart is drawn and holds the numbers of the model,
// axe-core finds nothing, and there is a screenshot to be looked at: in the
// folder SPANBUCKET_SCREENSHOTS, of the report whose JSON is in the file
// SPANBUCKET_SCREENSHOT_MODEL, where these are set.
func TestLooks(t *testing.T) {
	script, err := os.ReadFile(axe + "axe.min.js")
	require.NoError(t, err)
	raw := plain(t)
	address := file(t, "Nightly chaos test", raw)
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, l, address)
			require.Equal(t, l.theme, eval[string](b, `document.documentElement.dataset.theme`))
			checkCharts(b, decode(t, raw), map[bool]int{true: 1, false: 0}[l.width < 700])
			photograph(b, l)
			b.openNumbers("latency")
			checkAccess(b, string(script))
			b.quiet()
		})
	}
}

func checkCharts(b *tab, m model, width int) {
	b.t.Helper()
	t := b.t
	require.Equal(t, all, eval[[]string](b, `[...document.querySelectorAll(".chart")].map((c) => c.id.replace("-chart", ""))`))
	for _, chart := range all {
		require.Greater(t, eval[float64](b, fmt.Sprintf("(%s)(%q)", painted, chart)), 0.004, chart)
	}
	c := m.Picks[0].Charts[width]
	for outcome, counts := range c.Outcomes {
		perSecond := seriesOf(b, "throughput", outcome)
		require.Len(t, perSecond, c.Buckets)
		for i, n := range counts {
			require.InDelta(t, n/float64(c.WidthS), *perSecond[i], 1e-9, "%s %d", outcome, i)
		}
	}
	for name, want := range map[string][]*float64{"p50": c.P50, "p95": c.P95, "p99": c.P99} {
		require.Equal(t, want, seriesOf(b, "latency", name), name)
	}
	require.Equal(t, c.TTFTP95, seriesOf(b, "ttft", "p95"))
	require.Len(t, seriesOf(b, "heat", "requests"), len(c.Heat.Cells))
}

func checkAccess(b *tab, script string) {
	b.t.Helper()
	b.run(chromedp.Evaluate[chromedp.Void](script + "; undefined"))
	result := eval[struct {
		Violations []string
		Contrasts  int
	}](b, `axe.run(document, {resultTypes: ["violations", "passes"]}).then((r) => ({
		violations: r.violations.flatMap((v) => v.nodes.slice(0, 3).map((n) => v.id + ": " + n.target + ": " + n.failureSummary)),
		contrasts: r.passes.find((p) => p.id === "color-contrast").nodes.length,
	}))`)
	require.Empty(b.t, result.Violations)
	require.Greater(b.t, result.Contrasts, 100, "contrast was looked at")
}

func photograph(b *tab, l look) {
	b.t.Helper()
	folder := os.Getenv("SPANBUCKET_SCREENSHOTS")
	if folder == "" {
		return
	}
	if name := os.Getenv("SPANBUCKET_SCREENSHOT_MODEL"); name != "" {
		other, err := os.ReadFile(name)
		require.NoError(b.t, err)
		b = open(b.t, l, file(b.t, "Report", other))
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(filepath.Join(folder, l.String()+".png"), picture, 0o600))
	b.quiet()
}
