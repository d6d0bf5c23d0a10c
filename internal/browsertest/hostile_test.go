package browsertest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// hostile makes every name of a model end with a payload, another one each
// time, beginning at an offset.
func hostile(t *testing.T, offset int) []byte {
	t.Helper()
	next := offset
	given := map[string]string{}
	raw, err := Fixture(1, func(what string) string {
		if _, known := given[what]; !known {
			given[what] = what + Payloads[next%len(Payloads)]
			next++
		}
		return given[what]
	})
	require.NoError(t, err)
	require.GreaterOrEqual(t, next-offset, 40, "as many different names")
	return raw
}

// shape is what a page consists of, without its texts: each element with the
// names of its attributes.
const shape = `[...document.querySelectorAll("*")].map((e) => e.tagName + " " + e.getAttributeNames().sort().join(" "))`

// touch uses everything that can be used: it opens, sorts, shows and picks. A
// table of numbers comes when its box has opened.
const touch = `(async () => {
	for (const d of document.querySelectorAll("details")) d.open = true;
	for (const b of document.querySelectorAll("main button:not(.icon-button)")) b.click();
	while ([...document.querySelectorAll("details.numbers")].some((d) => !d.querySelector("table"))) await new Promise((done) => setTimeout(done, 10));
})()`

// Names do nothing but be read: no dialog, no request, no script, no element
// and no attribute more than a page with harmless names has.
func TestHostileNamesAreInert(t *testing.T) {
	require.GreaterOrEqual(t, len(Payloads), 40)
	look := func(title string, raw []byte) (*tab, []string) {
		b := open(t, looks[2], "about:blank")
		call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `window.run = () => { window.ran = true; alert("ran"); };`})
		address := file(t, title, raw)
		b.run(chromedp.Navigate(address))
		eval[any](b, touch)
		for _, chart := range all {
			eval[any](b, fmt.Sprintf(`(() => { const c = document.getElementById(%q + "-chart"); c.dispatchEvent(new PointerEvent("pointerenter")); const i = echarts.getInstanceByDom(c); i.dispatchAction({type: "showTip", seriesIndex: 0, dataIndex: 1}); })(), 1`, chart))
		}
		parts := eval[[]string](b, shape)
		require.False(t, eval[bool](b, `Boolean(window.ran)`))
		require.Equal(t, address, eval[string](b, `location.href`))
		require.NotRegexp(t, `(?i) on\w`, strings.Join(parts, "\n"), "no handler")
		b.quiet()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, url := range b.requests {
			require.True(t, url == address || strings.HasPrefix(url, "data:image/svg+xml"), url)
		}
		return b, parts
	}
	_, want := look("title", plain(t))
	for offset := 0; offset < len(Payloads); offset += 24 {
		b, got := look(Payloads[offset], hostile(t, offset))
		require.Equal(t, want, got, "the page consists of the same")
		// And they are there to be read, letter by letter.
		require.Equal(t, Payloads[offset], strings.ReplaceAll(eval[string](b, `document.querySelector("h1").textContent`), "\r", ""))
		text := eval[string](b, `document.body.textContent`)
		seen := 0
		for _, p := range Payloads {
			if strings.Contains(text, p) {
				seen++
			}
		}
		require.Greater(t, seen, 25)
	}
}

// Runs and categories may be called like what every JavaScript object has.
func TestPickersWithHostileNames(t *testing.T) {
	raw := hostile(t, 42)
	m := decode(t, raw)
	b := open(t, looks[0], file(t, "title", raw))
	for run, want := range []int{0, 3, 6} {
		b.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`{ const s = document.getElementById("run"); s.value = "%d"; s.dispatchEvent(new Event("change")); }`, run)))
		require.Equal(t, fmt.Sprint(m.Picks[want].Totals.Requests), eval[string](b, `document.querySelector(".tile-value").textContent.replaceAll(",", "")`))
	}
	b.quiet()
}

// A name that turns the direction of text does not turn the sentence around it.
func TestSentencesKeepTheirDirection(t *testing.T) {
	var m object
	require.NoError(t, json.Unmarshal(plain(t), &m))
	pick := m["picks"].([]any)[0].(object)
	pick["diagnosis"].(object)["text"] = "Most errors: 3 \u00d7 \u202ereverse. Then more."
	pick["anomalies"].(object)["rows"].([]any)[0].(object)["text"] = "3 of \u2066inside, and more."
	raw, err := json.Marshal(m)
	require.NoError(t, err)
	b := open(t, looks[2], file(t, "direction", raw))
	text := eval[string](b, `document.body.innerText`)
	require.Contains(t, text, "Most errors: 3 \u00d7 \ufffdreverse. Then more.")
	require.Contains(t, text, "3 of \ufffdinside, and more.")
	b.quiet()
}
