package browsertest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

const axe = "testdata/axe/"

// axe-core is what was released.
func TestAxeIsTheRecordedOne(t *testing.T) {
	sums, err := os.ReadFile(axe + "SHA256SUMS")
	require.NoError(t, err)
	for line := range strings.Lines(string(sums)) {
		want, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		file, err := os.ReadFile(axe + name)
		require.NoError(t, err)
		sum := sha256.Sum256(file)
		require.Equal(t, want, hex.EncodeToString(sum[:]), name)
	}
}

// Nothing lies over the edge of a narrow screen, of tables but inside their
// own frames, and of names that have no end.
func TestNoHorizontalScroll(t *testing.T) {
	endless, err := Fixture(1, func(what string) string { return what + strings.Repeat("x", 400) })
	require.NoError(t, err)
	for name, raw := range map[string][]byte{"plain": plain(t), "endless": endless} {
		b := open(t, look{320, 800, "light"}, file(t, "wide "+strings.Repeat("w", 300), raw))
		for _, width := range []int{320, 360, 800, 1600} {
			b.resize(look{width, 800, "light"})
			b.wait(fmt.Sprintf("innerWidth === %d", width))
			require.LessOrEqual(t, eval[int](b, `document.documentElement.scrollWidth`), width, "%s at %d px", name, width)
			b.wait(`document.getElementById("latency-chart").clientWidth === document.querySelector("#latency-chart canvas").clientWidth`)
		}
	}
}

// Everything can be reached and used with the keyboard alone.
func TestKeyboard(t *testing.T) {
	b := open(t, looks[2], file(t, "keyboard", plain(t)))
	focused := func() string {
		return eval[string](b, `(() => { const e = document.activeElement; return e.getAttribute("aria-label") || e.id || e.textContent || e.tagName; })()`)
	}
	var seen []string
	for range 30 {
		b.run(chromedp.KeyEvent(kb.Tab))
		seen = append(seen, focused())
	}
	require.Equal(t, "Skip to the report", seen[0])
	for _, want := range []string{"Switch to dark colours", "run", "category", "Zoom in", "Errors"} {
		require.Contains(t, seen, want)
	}
	b.run(chromedp.Focus(chromedp.CSS(`[aria-label="Zoom in"]`)), chromedp.KeyEvent(kb.Enter))
	b.wait(`document.getElementById("zoom-range").textContent !== "whole interval"`)
	require.Equal(t, "Zoom in", focused(), "the focus stays")
	b.run(chromedp.Focus(chromedp.CSS(`#category`)), chromedp.KeyEvent(kb.ArrowDown))
	b.wait(`document.getElementById("facts").textContent.endsWith("llm")`)
	require.Equal(t, "category", focused(), "the focus stays")
	b.run(chromedp.Focus(chromedp.CSS(`.widths input:checked`)), chromedp.KeyEvent(kb.ArrowRight))
	b.wait(`document.querySelector(".widths input:checked").value === "60"`)
	require.Equal(t, "60", eval[string](b, `document.activeElement.value`), "the focus stays")
	b.quiet()
}

// The theme follows the system until it is chosen.
func TestTheme(t *testing.T) {
	b := open(t, looks[3], file(t, "theme", plain(t)))
	theme := `document.documentElement.dataset.theme`
	require.Equal(t, "dark", eval[string](b, theme))
	ground := eval[string](b, `getComputedStyle(document.body).backgroundColor`)
	b.run(chromedp.Click(chromedp.CSS(`[aria-label="Switch to light colours"]`)))
	require.Equal(t, "light", eval[string](b, theme))
	require.NotEqual(t, ground, eval[string](b, `getComputedStyle(document.body).backgroundColor`))
	require.Greater(t, eval[float64](b, fmt.Sprintf(`(%s)("latency")`, painted)), 0.004)
	b.quiet()
}
