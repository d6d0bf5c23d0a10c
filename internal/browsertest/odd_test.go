package browsertest

import (
	"encoding/json"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// odd are models that leave out nearly everything, or hold what is unusual.
var odd = map[string]string{
	"nothing":  `{}`,
	"no picks": `{"schema_version":1,"headline_categories":["llm"],"runs":[],"runs_total":0,"categories":[],"fault_windows":[],"ledger":[],"notes":[],"pruned":[],"left_out":["It was too much."],"picks":[]}`,
	"no spans": `{"runs":[],"picks":[{"run_id":null,"category":"","categories":["llm"],"from_utc":null,"to_utc":null,"totals":null,"charts":[],"tables":[],"diagnosis":{"status":"NO_DATA","reasons":[],"text":"No requests.","patterns":[]}}]}`,
	"one span": `{"runs":[{"run_id":"","name":null}],"picks":[{"run_id":"","category":"","categories":["llm"],"from_utc":"2026-01-30T10:00:00Z","to_utc":"2026-01-30T10:00:10Z",
		"totals":{"category":"llm","requests_total":1,"errors":0,"error_rate":0,"requests_injected":0,"adjusted_requests":1,"latency":{"count":1,"avg_ms":1,"min_ms":1,"max_ms":1,"percentiles_ms":{"p50":1,"p95":1,"p99":1}},"ttft":{"count":0},"usage_count":0,"priced_count":0},
		"charts":[{"width_s":10,"start":1769767200,"buckets":1,"partial_first":true,"partial_last":true,"outcomes":{"success":[1]},"injected":[0],"avg_ms":[1],"p50_ms":[1],"p95_ms":[1],"p99_ms":[1],"max_ms":[1],
			"ttft_p50_ms":[null],"ttft_p95_ms":[null],"ttft_p99_ms":[null],"input_tokens":[null],"output_tokens":[null],"cost_usd":[null],"heat":{"bands_ms":[1,2],"cells":[[0,0,1]]}}],"tables":[]}]}`,
	"no latency": `{"runs":[],"faults":[{"run_id":"","fault":"","start_ns":1769767201000000000,"end_ns":1769767201000000000}],"picks":[{"run_id":null,"category":"llm","categories":["llm"],
		"totals":{"requests_total":2,"errors":2,"error_rate":1,"requests_injected":0,"adjusted_requests":2,"latency":{"count":0,"percentiles_ms":null},"ttft":{"count":0},"usage_count":0,"priced_count":0},
		"charts":[{"width_s":1,"start":1769767200,"buckets":3,"partial_first":false,"partial_last":false,"outcomes":{"other_error":[1,0,1],"strange":[0,0,0]},"injected":[0,0,0],"avg_ms":[null,null,null],
			"p50_ms":[null,null,null],"p95_ms":[null,null,null],"p99_ms":[null,null,null],"max_ms":[null,null,null],"heat":{"bands_ms":[],"cells":[]}}],"tables":[{"by":"x\"><img>","rows":[],"other":null}]}]}`,
}

// Whatever is missing, the page shows the rest, and no empty box.
func TestOddModels(t *testing.T) {
	for name, raw := range odd {
		t.Run(name, func(t *testing.T) {
			require.True(t, json.Valid([]byte(raw)))
			b := open(t, looks[0], file(t, "", []byte(raw)))
			eval[any](b, touch)
			b.quiet()
			text := eval[string](b, `document.querySelector("main").innerText`)
			for _, wrong := range []string{"NaN", "undefined", "null", "Invalid", "[object"} {
				require.NotContains(t, text, wrong)
			}
			require.Zero(t, eval[int](b, `[...document.querySelectorAll(".card")].filter((c) => c.textContent.trim() === "" || (c.querySelector(".chart") && !c.querySelector("canvas"))).length`))
			charts := eval[[]string](b, `[...document.querySelectorAll(".chart")].map((c) => c.id)`)
			switch name {
			case "one span":
				require.Equal(t, []string{"throughput-chart", "latency-chart", "heat-chart"}, charts)
			case "no latency":
				require.Equal(t, []string{"happenings-chart", "throughput-chart"}, charts)
			default:
				require.Empty(t, charts)
			}
		})
	}
}

// No label of an axis is cut at the right edge of its chart.
func TestLabelsAreWhole(t *testing.T) {
	for _, l := range looks[1:3] {
		for _, raw := range []string{odd["one span"], string(plain(t))} {
			b := open(t, l, file(t, "labels", []byte(raw)))
			require.Empty(t, eval[[]string](b, `[...document.querySelectorAll(".chart")].flatMap((c) => {
				const zr = echarts.getInstanceByDom(c).getZr();
				return zr.storage.getDisplayList().filter((e) => e.type === "tspan" && !e.ignore && !e.invisible).flatMap((e) => {
					const r = e.getBoundingRect().clone(), moved = e.getComputedTransform();
					if (moved) r.applyTransform(moved);
					return r.x + r.width > zr.getWidth() + 2 ? [c.id + ": " + e.style.text + " " + [r.x, r.width, zr.getWidth()]] : [];
				});
			})`))
			b.quiet()
		}
	}
}

// Eight times as many buckets as a report has at most are drawn and zoomed
// without trouble.
func TestManyBuckets(t *testing.T) {
	var m map[string]any
	require.NoError(t, json.Unmarshal(plain(t), &m))
	pick := m["picks"].([]any)[0].(map[string]any)
	chart := pick["charts"].([]any)[0].(map[string]any)
	const times = 40
	longer := func(column []any) (out []any) {
		for range times {
			out = append(out, column...)
		}
		return out
	}
	for key, v := range chart {
		if column, ok := v.([]any); ok {
			chart[key] = longer(column)
		}
	}
	for key, v := range chart["outcomes"].(map[string]any) {
		chart["outcomes"].(map[string]any)[key] = longer(v.([]any))
	}
	chart["buckets"] = float64(150 * times)
	pick["charts"] = []any{chart}
	m["picks"] = []any{pick}
	raw, err := json.Marshal(m)
	require.NoError(t, err)
	b := open(t, looks[2], file(t, "many", raw))
	b.run(chromedp.Click(chromedp.CSS(`[aria-label="Zoom in"]`)))
	b.wait(`document.getElementById("zoom-range").textContent !== "whole interval"`)
	b.quiet()
}
