package browsertest

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// changed is the fixture after a change of the faults of its first pick.
func changed(t *testing.T, change func(diagnosis, impact object)) []byte {
	t.Helper()
	var m object
	require.NoError(t, json.Unmarshal(plain(t), &m))
	pick := m["picks"].([]any)[0].(object)
	impact := pick["fault_impact"].(object)
	change(pick["diagnosis"].(object), impact)
	unmet, _ := impact["unmet"].([]any)
	m["faults"] = append(unmet, impact["rows"].([]any)...)
	raw, err := json.Marshal(m)
	require.NoError(t, err)
	return raw
}

const strips = `[...document.querySelectorAll(".strip")].map((s) => s.innerText.replace(/\s+/g, " ").trim())`

// Fault, impact and recovery are on the first screen, before anything else is
// said.
func TestFaultsAtFirstGlance(t *testing.T) {
	raw := changed(t, func(diagnosis, impact object) { diagnosis["status"] = "OK" })
	for _, l := range []look{looks[0], looks[3]} {
		b := open(t, l, file(t, "glance", raw))
		require.Equal(t, "OK, but for the faults", eval[string](b, `document.querySelector(".status").innerText.trim()`))
		require.Equal(t, []string{
			"latency on openai 10:08:00 – 10:11:00 UTC, 3 min · run chaos-2026-01-30 before 0.9 % failed p95 1,408 ms during 21.2 % failed p95 3,718 ms after 1.1 % failed p95 1,441 ms recovered after 20 s",
			"http_429 10:16:00 – 10:17:30 UTC, 1 min 30 s · run chaos-2026-01-30 before 0.9 % failed p95 1,408 ms during 21.2 % failed p95 3,718 ms after 1.1 % failed p95 1,441 ms not recovered",
		}, eval[[]string](b, strips))
		require.Less(t, eval[int](b, `Math.round(document.querySelector(".strip").getBoundingClientRect().bottom)`), l.height)
		require.True(t, eval[bool](b, `document.querySelector(".strips").getBoundingClientRect().bottom < document.querySelector(".diagnosis").getBoundingClientRect().top`))
		require.Empty(t, eval[string](b, `document.querySelector(".strips + .hint")?.innerText ?? ""`))
		b.quiet()
	}
}

// How a fault ended is said with the digits of the verdict.
func TestBadgesOfRecovery(t *testing.T) {
	for badge, fields := range map[string]object{
		"recovered at once":        {"recovery": "recovered", "recovery_s": 0},
		"recovered after 185.0 ms": {"recovery": "recovered", "recovery_s": 0.185},
		"recovered after 3.9 s":    {"recovery": "recovered", "recovery_s": 3.89},
		"recovered after 11.4 s":   {"recovery": "recovered", "recovery_s": 11.43},
		"recovered after 75.2 s":   {"recovery": "recovered", "recovery_s": 75.23},
		"recovery not known":       {"recovery": "unknown", "recovery_s": nil},
		"there all the time":       {"recovery": "unknown", "recovery_s": nil, "throughout": true},
	} {
		raw := changed(t, func(_, impact object) {
			row := impact["rows"].([]any)[0].(object)
			for name, value := range fields {
				row[name] = value
			}
			impact["rows"] = []any{row}
		})
		b := open(t, looks[0], file(t, "badge", raw))
		require.Equal(t, badge, eval[string](b, `document.querySelector(".strip-end").innerText.trim()`))
		b.quiet()
	}
}

// A good verdict tells that there were faults, whether they did harm or not; a
// bad one needs no more words. Of many faults the worst are shown.
func TestVerdictWithFaults(t *testing.T) {
	harmless := func(impact object, n int) []any {
		fault := impact["rows"].([]any)[0].(object)
		fault["during_against_before"].(object)["error_rate_difference"] = 0.01
		fault["during_against_before"].(object)["p95_latency_ratio"] = 1.2
		rows := make([]any, n)
		for i := range rows {
			one := object{}
			for k, v := range fault {
				one[k] = v
			}
			one["fault"] = fmt.Sprint("harmless ", i)
			rows[i] = one
		}
		return rows
	}
	for _, c := range []struct {
		name, badge, more string
		shown             int
		change            func(diagnosis, impact object)
	}{
		{"one that did harm", "OK, but for the fault", "", 1, func(d, i object) { i["rows"] = i["rows"].([]any)[:1] }},
		{"one that did none", "OK, with a fault", "", 1, func(d, i object) { i["rows"] = harmless(i, 1) }},
		{"several that did none", "OK, with faults", "", 3, func(d, i object) { i["rows"] = harmless(i, 3) }},
		{"many", "OK, but for the fault", "The worst of all faults; 14 more below.", 3, func(d, i object) {
			worst := i["rows"].([]any)[1]
			i["rows"], i["faults_left_out"] = append(harmless(i, 9), worst), 7
		}},
		{"none", "OK", "", 0, func(d, i object) { i["rows"] = []any{} }},
		{"critical", "Critical", "", 2, func(d, i object) { d["status"] = "CRITICAL" }},
	} {
		b := open(t, looks[2], file(t, c.name, changed(t, func(d, i object) { d["status"] = "OK"; c.change(d, i) })))
		require.Equal(t, c.badge, eval[string](b, `document.querySelector(".status").innerText.trim()`), c.name)
		shown := eval[[]string](b, strips)
		require.Len(t, shown, c.shown, c.name)
		require.Equal(t, c.more, eval[string](b, `document.querySelector("#verdict .strips + .hint")?.innerText ?? ""`), c.name)
		if c.name == "many" {
			require.Contains(t, shown[0], "harmless 0")
			require.Contains(t, shown[2], "http_429", "the worst, in the order of time")
		}
		b.quiet()
	}
}

// A fault is one row, with its kinds folded below; what no request met is told
// of in a line; what goes on all through the run shades nothing.
func TestKindsOfFaults(t *testing.T) {
	kind := func(name string, from, to int) object {
		return object{"fault": name, "windows": 1, "start_utc": utc(from), "end_utc": utc(to), "start_ns": ns(from), "end_ns": ns(to), "requests_marked": 0, "spans_marked": 41}
	}
	b := open(t, looks[2], file(t, "kinds", changed(t, func(_, impact object) {
		rows := impact["rows"].([]any)
		rows[0].(object)["kinds"] = []string{"reset", "timeout"}
		rows[0].(object)["kind_rows"] = []object{kind("reset", 480, 500), kind("timeout", 490, 700)}
		rows[0].(object)["requests_marked"], rows[0].(object)["spans_marked"] = 0, 82
		rows[1].(object)["background"] = true
		impact["unmet"] = []any{object{"run_id": "load-7", "fault": "late", "target": "openai", "kinds": []string{}, "start_utc": utc(1400), "end_utc": utc(1401), "start_ns": ns(1400), "end_ns": ns(1401), "duration_s": 0.25}}
	})))
	lanes := instance + `("happenings").getOption().yAxis[0].data`
	require.Equal(t, []string{"lane-faults-0"}, eval[[]string](b, lanes+`.filter((l) => /fault|kind/.test(l))`))
	require.Equal(t, 2, eval[int](b, instance+`("happenings").getOption().series[0].data.length`), "that with kinds and that which no request met")
	require.Equal(t, []float64{(begin + 480) * 1000, (begin + 660) * 1000}, eval[[]float64](b, instance+`("latency").getOption().series.find((s) => s.name === "shading").markArea.data[0].map((a) => a.xAxis)`))
	b.run(chromedp.Click(chromedp.CSS("#happenings .legend-item")))
	b.wait(`document.activeElement?.textContent === "Hide the 2 kinds of faults"`)
	require.Equal(t, []string{"lane-faults-0", "lane-kinds-0", "lane-kinds-1"}, eval[[]string](b, lanes+`.filter((l) => /fault|kind/.test(l))`))
	require.Contains(t, eval[string](b, `document.querySelector("#faults").innerText`), "82 spans marked")
	require.Contains(t, eval[string](b, `document.querySelector("#faults").innerText`), "No request met late on openai (10:23:20, 250.0 ms).")
	require.Equal(t, []string{"reset", "timeout"}, eval[[]string](b, `[...document.querySelectorAll("#faults details tbody th")].map((e) => e.textContent)`))
	require.False(t, eval[bool](b, `document.querySelector("#faults details").open`))
	require.Regexp(t, "all through the run.*there all the time$", eval[[]string](b, strips)[1])
	eval[any](b, touch)
	b.quiet()
}
