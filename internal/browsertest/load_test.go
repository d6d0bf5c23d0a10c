package browsertest

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// The page says how the load of a run was made, and what a closed loop does to
// its latency, where one was.
func TestHowTheLoadWasMade(t *testing.T) {
	b := open(t, looks[2], file(t, "load", plain(t)))
	hint := `document.querySelector("#latency .hint").textContent.includes("closed loop: a slow server hides part of its own latency")`
	for run, closed := range []bool{true, true, false} { // every run, the one that says so, the one that does not
		b.run(chromedp.Evaluate[chromedp.Void](`{ const s = document.getElementById("run"); s.selectedIndex = ` + string(rune('0'+run)) + `; s.dispatchEvent(new Event("change")); }`))
		require.Equal(t, closed, eval[bool](b, hint))
		require.Equal(t, closed, eval[bool](b, `document.getElementById("load") !== null`))
		if closed {
			require.Equal(t, []string{"mode", "full", "region", "eu-west"}, eval[[]string](b, `[...document.querySelectorAll("#load dt, #load dd")].map((e) => e.textContent)`))
			require.Contains(t, eval[string](b, `document.getElementById("load").innerText`), "The load was a closed loop: users waited.")
		}
	}
	b.quiet()
}
