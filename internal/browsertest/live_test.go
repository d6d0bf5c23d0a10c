package browsertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// growing answers with one pick of the fixture, with one more request every
// time, and remembers what it was asked.
type growing struct {
	mu    sync.Mutex
	all   map[string]any
	asked []url.Values
	down  bool
	none  [2]string // run and category without spans
}

func newGrowing(t *testing.T) *growing {
	t.Helper()
	g := &growing{}
	require.NoError(t, json.Unmarshal(plain(t), &g.all))
	return g
}

func (g *growing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, r.URL.Query())
	if g.down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	if q := r.URL.Query(); q.Get("category") != "" && g.none == [2]string{q.Get("run"), q.Get("category")} {
		http.Error(w, "there are no such spans", http.StatusNotFound)
		return
	}
	one := map[string]any{}
	for k, v := range g.all {
		one[k] = v
	}
	for _, p := range g.all["picks"].([]any) {
		pick := p.(map[string]any)
		run, _ := pick["run_id"].(string)
		if r.URL.Query().Has("run") == (pick["run_id"] != nil) && r.URL.Query().Get("run") == run && r.URL.Query().Get("category") == pick["category"] {
			totals := pick["totals"].(map[string]any)
			totals["requests_total"] = totals["requests_total"].(float64) + 1
			one["picks"] = []any{pick}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(one)
}

func (g *growing) forbid(run, category string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.none = [2]string{run, category}
}

func (g *growing) last() url.Values {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked[len(g.asked)-1]
}

func (g *growing) setDown(down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = down
}

// The live page refreshes without being loaded again, and keeps what was
// picked, zoomed and opened, and where it was scrolled to.
func TestLivePageRefreshes(t *testing.T) {
	g := newGrowing(t)
	address := serve(t, g.ServeHTTP, time.Second)
	b := open(t, looks[2], address)
	total := `Number(document.querySelector(".tile-value")?.textContent.replaceAll(",", "") ?? 0)`
	b.wait(total + ` > 0`)
	require.Empty(t, g.last().Encode(), "nothing is asked for that nobody chose")

	b.run(chromedp.Evaluate[chromedp.Void](`{ const s = document.getElementById("run"); s.selectedIndex = 1; s.dispatchEvent(new Event("change")); }`))
	b.wait(`document.getElementById("facts").textContent.includes("nightly chaos")`)
	b.run(chromedp.Evaluate[chromedp.Void](`{ const s = document.getElementById("category"); s.selectedIndex = 1; s.dispatchEvent(new Event("change")); }`))
	b.wait(`document.getElementById("facts").textContent.endsWith("llm")`)
	require.Equal(t, "category=llm&run=chaos-2026-01-30", g.last().Encode())
	b.run(chromedp.Evaluate[chromedp.Void](`document.querySelector('[aria-label="Zoom in"]').click()`))
	b.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("#latency details").open = true; scrollTo(0, 900); window.mark = 1; undefined`))
	b.run(chromedp.Evaluate[chromedp.Void](`{ const h = [...document.querySelectorAll("#by-model thead button")].find((h) => h.textContent.startsWith("p95")); h.focus(); h.click(); scrollTo(0, 900); }`))
	b.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("#throughput .legend-item").click()`))
	shown := eval[float64](b, total)
	b.wait(fmt.Sprintf(`%s >= %f`, total, shown+2))
	require.Equal(t, "descending", eval[string](b, `[...document.querySelectorAll("#by-model th")].find((h) => h.textContent.startsWith("p95")).getAttribute("aria-sort")`))
	require.Equal(t, "p95 ms", eval[string](b, `document.activeElement.textContent.slice(0, 20)`), "the focus stays")
	require.Equal(t, "false", eval[string](b, `document.querySelector("#throughput .legend-item").getAttribute("aria-pressed")`))
	require.Equal(t, 1, eval[int](b, `window.mark`), "not loaded again")
	require.InDelta(t, 900, eval[float64](b, `scrollY`), 1)
	require.True(t, eval[bool](b, `document.querySelector("#latency details").open && document.querySelector("#latency details table") !== null`))
	require.Equal(t, []float64{25, 75}, eval[[]float64](b, instance+`("latency").getOption().dataZoom.slice(0, 1).flatMap((z) => [z.start, z.end])`))
	require.Equal(t, "nightly chaos (chaos-2026-01-30)", eval[string](b, `document.getElementById("run").selectedOptions[0].text`))
	b.quiet()
	require.Equal(t, 1, b.loads)
	for _, asked := range b.requests {
		require.True(t, strings.HasPrefix(asked, address) || strings.HasPrefix(asked, "data:"), asked)
	}

	// While the server does not answer, what was there stays, and is said to be
	// old; then it goes on.
	g.setDown(true)
	b.wait(`document.getElementById("live-state").textContent === "down"`)
	require.Greater(t, eval[float64](b, total), 0.0)
	g.setDown(false)
	shown = eval[float64](b, total)
	b.wait(fmt.Sprintf(`%s > %f && document.getElementById("live-state").textContent.includes("live")`, total, shown))

	// What is looked at is not drawn anew before the pointer has left.
	b.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("latency-chart").dispatchEvent(new PointerEvent("pointerenter"))`))
	b.wait(`document.getElementById("live-state").textContent.includes("waiting")`)
	held := eval[float64](b, total)
	b.run(chromedp.Evaluate[chromedp.Void](`document.getElementById("latency-chart").dispatchEvent(new PointerEvent("pointerleave"))`))
	b.wait(fmt.Sprintf(`%s > %f`, total, held))

	// Of a run without such spans, the wider choice is shown.
	b.run(chromedp.Evaluate[chromedp.Void](`{ const s = document.getElementById("category"); s.selectedIndex = 2; s.dispatchEvent(new Event("change")); }`))
	b.wait(`document.getElementById("facts").textContent.endsWith("embedding") && !document.getElementById("facts").textContent.includes("llm")`)
	g.forbid("load-7", "embedding")
	b.run(chromedp.Evaluate[chromedp.Void](`{ const s = document.getElementById("run"); s.selectedIndex = 2; s.dispatchEvent(new Event("change")); }`))
	b.wait(`document.getElementById("facts").textContent.includes("load-7") && document.getElementById("facts").textContent.endsWith("llm + embedding")`)

	// Paused it asks no more. Questions are counted where they are put, for those
	// on their way may come late; and a timer of the page that was to put one
	// would have fired before the test's own, which is set later and waits longer.
	b.run(chromedp.Evaluate[chromedp.Void](`{ window.asked = 0; const put = window.fetch; window.fetch = (...a) => { window.asked++; return put(...a); }; }`))
	b.wait(`window.asked > 0`)
	b.run(chromedp.Click(chromedp.CSS(`.live .more`)))
	b.wait(`document.getElementById("live-state").textContent === "paused"`)
	require.Zero(t, eval[int](b, `(() => { const before = window.asked; return new Promise((done) => setTimeout(() => done(window.asked - before), 2500)); })()`))
	b.run(chromedp.Click(chromedp.CSS(`.live .more`)))
	b.wait(`window.asked > 1 && document.getElementById("live-state").textContent.includes("live")`)
}
