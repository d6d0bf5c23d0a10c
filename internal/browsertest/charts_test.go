package browsertest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// all are the charts of a page that has everything.
var all = []string{"happenings", "throughput", "latency", "heat", "ttft", "tokens", "cost"}

// painted counts the pixels of a chart that are not of the ground.
const painted = `(id) => {
	const canvas = document.querySelector("#" + id + "-chart canvas");
	const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
	let n = 0;
	for (let i = 3; i < data.length; i += 4) if (data[i] > 0) n++;
	return n / (data.length / 4);
}`

// instance is the ECharts instance of a chart.
const instance = `((id) => echarts.getInstanceByDom(document.getElementById(id + "-chart")))`

// seriesOf returns the values of a series, by the id of its chart.
func seriesOf(b *tab, chart, name string) []*float64 {
	b.t.Helper()
	return eval[[]*float64](b, fmt.Sprintf(`%s(%q).getOption().series.find((s) => s.name === %q).data.map((p) => p[1])`, instance, chart, name))
}

// model is what the tests read of a fixture.
type model struct {
	Picks []struct {
		RunID    *string `json:"run_id"`
		Category string
		Totals   struct {
			Requests int `json:"requests_total"`
		}
		Charts []struct {
			WidthS   int `json:"width_s"`
			Buckets  int
			Outcomes map[string][]float64
			P50      []*float64 `json:"p50_ms"`
			P95      []*float64 `json:"p95_ms"`
			P99      []*float64 `json:"p99_ms"`
			TTFTP95  []*float64 `json:"ttft_p95_ms"`
			Input    []*float64 `json:"input_tokens"`
			Heat     struct{ Cells [][3]int }
		}
	}
}

func decode(t *testing.T, raw []byte) (m model) {
	t.Helper()
	require.NoError(t, json.Unmarshal(raw, &m))
	return m
}

// The slider, the buttons and dragging show a part, in all charts alike; the
// axes of values follow.
func TestZoomIsCommonToAllCharts(t *testing.T) {
	b := open(t, looks[2], file(t, "zoom", plain(t)))
	ranges := `[...document.querySelectorAll(".chart")].map((c) => { const z = echarts.getInstanceByDom(c).getOption().dataZoom[0]; return z.start.toFixed(2) + " " + z.end.toFixed(2); })`
	alike := func(want string) {
		t.Helper()
		b.wait(fmt.Sprintf(`%s.every((r) => r === %q)`, ranges, want))
	}
	alike("0.00 100.00")
	require.True(t, eval[bool](b, `document.querySelector('[aria-label="Zoom out"]').disabled`))
	top := instance + `("latency").getOption().yAxis[0].max`
	whole := eval[float64](b, top)
	b.run(chromedp.Click(chromedp.CSS(`[aria-label="Zoom in"]`)))
	alike("25.00 75.00")
	require.Equal(t, "10:06:15 – 10:18:45", eval[string](b, `document.getElementById("zoom-range").textContent`))
	b.run(chromedp.Click(chromedp.CSS(`[aria-label="Later"]`)))
	alike("50.00 100.00")
	// Without the slow fault in sight, the axis of latency needs less room.
	b.wait(fmt.Sprintf("%s <= %f / 2", top, whole))
	b.run(chromedp.Click(chromedp.CSS(`[aria-label="Whole interval"]`)))
	alike("0.00 100.00")
	b.wait(fmt.Sprintf("%s === %f", top, whole))
	// One chart zooms, as its slider does: the others follow.
	b.run(chromedp.Evaluate[chromedp.Void](instance + `("throughput").dispatchAction({type: "dataZoom", dataZoomId: "slider", start: 10, end: 30}); undefined`))
	alike("10.00 30.00")
	b.run(chromedp.Click(chromedp.CSS(`[aria-label="Whole interval"]`)))
	// Dragging over the second quarter of a chart.
	box := eval[[]float64](b, `(() => { const c = document.getElementById("latency-chart"); c.scrollIntoView({block: "center"}); const r = c.getBoundingClientRect(); return [r.left + 70, r.top + r.height / 2, r.width - 84]; })()`)
	b.run(chromedp.DragAndDropXY(box[0]+box[2]*0.25, box[1], box[0]+box[2]*0.5, box[1], 5))
	b.wait(ranges + `.every((r) => { const [a, b] = r.split(" ").map(Number); return Math.abs(a - 25) < 1 && Math.abs(b - 50) < 1; })`)
	require.Zero(t, eval[int](b, `document.querySelectorAll(".brush").length`))
	b.quiet()
}

// The hover says the exact numbers of the bucket, as text.
func TestHoverSaysExactNumbers(t *testing.T) {
	raw := plain(t)
	m := decode(t, raw)
	c := m.Picks[0].Charts[0]
	b := open(t, looks[2], file(t, "hover", raw))
	for _, chart := range []string{"throughput", "latency", "heat", "happenings"} {
		at := eval[[]float64](b, fmt.Sprintf(`(() => {
			const c = document.getElementById(%q + "-chart");
			c.scrollIntoView({block: "center"});
			const r = c.getBoundingClientRect(), i = %s(%q), t = (%d + 505) * 1000;
			const p = i.convertToPixel({gridIndex: 0}, [t, %q === "heat" ? 18.5 : 0]);
			return [r.left + p[0], r.top + (%q === "latency" || %q === "throughput" ? r.height / 2 : p[1])];
		})()`, chart, instance, chart, begin, chart, chart, chart))
		b.run(chromedp.MouseEvent("mouseMoved", at[0]-30, at[1]), chromedp.MouseEvent("mouseMoved", at[0], at[1]))
		b.wait(fmt.Sprintf(`document.querySelector("#%s-chart .floating")?.checkVisibility()`, chart))
		if chart != "happenings" {
			b.wait(fmt.Sprintf(`document.querySelector("#%s-chart .floating").innerText.includes("10:08:20 – 10:08:30 UTC")`, chart))
		}
		text := eval[string](b, fmt.Sprintf(`document.querySelector("#%s-chart .floating").innerText`, chart))
		switch chart {
		case "throughput":
			require.Contains(t, text, fmt.Sprintf("%.0f", c.Outcomes["success"][50]))
			require.Contains(t, text, "fault: latency")
		case "latency":
			require.Contains(t, text, "p99")
			require.Contains(t, text, " ms")
		case "heat":
			require.Contains(t, text, "request")
			require.Contains(t, text, "of the bucket")
		default:
			require.Contains(t, text, "openai")
		}
		// That of the chart before goes after a moment.
		b.wait(`[...document.querySelectorAll(".floating")].filter((f) => f.checkVisibility()).length === 1`)
		require.True(t, eval[bool](b, fmt.Sprintf(`document.querySelector("#%s-chart .floating").checkVisibility()`, chart)), "only the chart under the pointer says something")
	}
	b.quiet()
}

func TestLegendHidesAnOutcome(t *testing.T) {
	b := open(t, looks[2], file(t, "legend", plain(t)))
	top := instance + `("throughput").getOption().yAxis[0].max`
	require.InDelta(t, 60, eval[float64](b, top), 0)
	before := eval[float64](b, fmt.Sprintf(`(%s)("throughput")`, painted))
	b.run(chromedp.Click(chromedp.CSS(`#throughput .legend-item`)))
	b.wait(`document.querySelector("#throughput .legend-item").getAttribute("aria-pressed") === "false"`)
	b.wait(top + ` < 40`)
	b.wait(fmt.Sprintf(`(%s)("throughput") < %f * 0.8`, painted, before))
	b.quiet()
}

// Run, category and width change what is shown, everywhere.
func TestPickers(t *testing.T) {
	raw := plain(t)
	m := decode(t, raw)
	b := open(t, looks[2], file(t, "pickers", raw))
	total := func() string {
		return eval[string](b, `document.querySelector(".tile-value").textContent.replaceAll(",", "")`)
	}
	pick := func(id string, position int) {
		b.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`{ const s = document.getElementById(%q); s.value = "%d"; s.dispatchEvent(new Event("change")); }`, id, position)))
	}
	require.Equal(t, []string{"every run", "nightly chaos (chaos-2026-01-30)", "load-7"}, eval[[]string](b, `[...document.getElementById("run").options].map((o) => o.text)`))
	require.Equal(t, []string{"llm + embedding", "llm", "embedding"}, eval[[]string](b, `[...document.getElementById("category").options].map((o) => o.text)`))
	for _, c := range [][2]int{{0, 1}, {1, 1}, {1, 0}, {2, 2}} {
		pick("run", c[0])
		pick("category", c[1])
		p := m.Picks[3*c[0]+c[1]]
		require.Equal(t, fmt.Sprint(p.Totals.Requests), total(), "%v", c)
		require.Equal(t, p.Charts[0].P95, seriesOf(b, "latency", "p95"))
	}
	for i, label := range []string{"10 s", "1 min", "5 min"} {
		b.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`[...document.querySelectorAll(".widths label")].find((l) => l.textContent === %q).click()`, label)))
		require.Equal(t, m.Picks[8].Charts[i].P95, seriesOf(b, "latency", "p95"), label)
	}
	// The chosen width stays when another run is picked.
	pick("run", 0)
	require.Equal(t, m.Picks[2].Charts[2].P95, seriesOf(b, "latency", "p95"))
	// The last bucket of 5 minutes is marked as cut.
	b.openNumbers("latency")
	require.Contains(t, eval[string](b, `document.querySelector("#latency details").innerText`), "(partial)")
	b.quiet()
}

func TestTablesSort(t *testing.T) {
	b := open(t, looks[2], file(t, "tables", plain(t)))
	column := func() []string {
		return eval[[]string](b, `[...document.querySelectorAll("#by-model tbody tr")].map((r) => r.cells[0].textContent)`)
	}
	require.Equal(t, []string{"gpt-4o-mini", "claude-sonnet-4", "gpt-4o", "mistral-large", "text-embedding-3-small", "not said"}, column())
	head := `[...document.querySelectorAll("#by-model thead button")].find((h) => h.textContent.startsWith(%q)).click()`
	b.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(head, "p95 ms")))
	require.Equal(t, []string{"not said", "text-embedding-3-small", "mistral-large", "gpt-4o", "claude-sonnet-4", "gpt-4o-mini"}, column())
	b.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(head, "TTFT")))
	require.Equal(t, "text-embedding-3-small", column()[0])
	require.Equal(t, "not said", column()[5], "what is missing comes last")
	b.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(head, "TTFT")))
	require.Equal(t, "gpt-4o-mini", column()[0])
	require.Equal(t, "not said", column()[5], "either way")
	require.Equal(t, "ascending", eval[string](b, `[...document.querySelectorAll("#by-model th")].find((h) => h.textContent.startsWith("TTFT")).getAttribute("aria-sort")`))
	rows := `document.querySelectorAll("#by-service tbody tr").length`
	require.Equal(t, 12, eval[int](b, rows))
	b.run(chromedp.Click(chromedp.CSS("#by-service .more")))
	require.Equal(t, 16, eval[int](b, rows))
	b.quiet()
}

// A page on paper is light, has its charts and leaves nothing over the edge.
func TestPrints(t *testing.T) {
	b := open(t, looks[3], file(t, "print", plain(t)))
	b.run(chromedp.Evaluate[chromedp.Void](`dispatchEvent(new Event("beforeprint"))`))
	require.Equal(t, "light", eval[string](b, `document.documentElement.dataset.theme`))
	require.Greater(t, eval[float64](b, fmt.Sprintf(`(%s)("latency")`, painted)), 0.004)
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	require.False(t, eval[bool](b, `document.getElementById("pickers").checkVisibility()`))
	// Charts and tables that fit on A4 with the margins of the page.
	require.LessOrEqual(t, eval[int](b, `Math.max(...[...document.querySelectorAll("canvas, .card, .tile, table.data")].map((e) => Math.round(e.getBoundingClientRect().right - document.body.getBoundingClientRect().left)))`), 704)
	if folder := os.Getenv("SPANBUCKET_SCREENSHOTS"); folder != "" {
		picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, "print.png"), picture, 0o600))
	}
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "screen", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
	b.wait(`matchMedia("(prefers-color-scheme: dark)").matches`)
	b.run(chromedp.Evaluate[chromedp.Void](`dispatchEvent(new Event("afterprint"))`))
	b.wait(`document.documentElement.dataset.theme === "dark"`)
	began := time.Now()
	pdf, err := chromedp.Run(b.ctx, chromedp.PrintToPDF(chromedp.PDFPrintBackground()))
	require.NoError(t, err)
	require.Equal(t, "%PDF-", string(pdf[:5]))
	require.Greater(t, len(pdf), 100_000, "after %s", time.Since(began))
	b.quiet()
}

// An axis has one unit, which its largest label needs, whatever part is shown.
func TestAxisHasOneUnit(t *testing.T) {
	var m object
	require.NoError(t, json.Unmarshal(plain(t), &m))
	for _, c := range m["picks"].([]any)[0].(object)["charts"].([]any) {
		for i, v := range c.(object)["p99_ms"].([]any) {
			if v != nil {
				c.(object)["p99_ms"].([]any)[i] = map[bool]float64{true: 11800, false: 6100}[i < 10]
			}
		}
	}
	raw, err := json.Marshal(m)
	require.NoError(t, err)
	b := open(t, looks[2], file(t, "unit", raw))
	labels := `(() => { const o = ` + instance + `("latency").getOption().yAxis[0], all = []; for (let v = 0; v <= o.max; v += o.interval) all.push(o.axisLabel.formatter(v)); return all; })()`
	require.Equal(t, []string{"0", "2.5 s", "5 s", "7.5 s", "10 s", "12.5 s"}, eval[[]string](b, labels))
	b.run(chromedp.Click(chromedp.CSS(`[aria-label="Zoom in"]`)))
	b.wait(labels + `.join() === "0,2,000 ms,4,000 ms,6,000 ms,8,000 ms"`)
	b.quiet()
}
