package browsertest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// program builds spanbucket once.
var program = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "spanbucket-")
	if err != nil {
		return "", err
	}
	name := filepath.Join(folder, "spanbucket")
	build := exec.Command("go", "build", "-o", name, "./cmd/spanbucket")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build spanbucket: %w: %s", err, out)
	}
	return name, nil
})

func spanbucket(t *testing.T, args ...string) []byte {
	t.Helper()
	name, err := program()
	require.NoError(t, err)
	out, err := exec.Command(name, args...).Output()
	require.NoError(t, err, args)
	return out
}

// recorded is a file with the spans of every dialect that is known, as their
// instrumentations send them: with faults, circuits, sessions and tools.
func recorded(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("../../testdata/dialects/*/*.json")
	require.NoError(t, err)
	files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, ".want.json") })
	require.Greater(t, len(files), 50)
	db := filepath.Join(t.TempDir(), "spanbucket.db")
	spanbucket(t, append([]string{"import", "--db", db}, files...)...)
	return db
}

// The page that the program writes, of real spans, shows what the program says.
func TestReportOfTheProgram(t *testing.T) {
	db := recorded(t)
	html := filepath.Join(t.TempDir(), "report.html")
	spanbucket(t, "report", "--db", db, "--include-open", "-o", html)
	for _, l := range []look{looks[0], looks[3]} {
		b := open(t, l, "file://"+html)
		var stats struct {
			Headline struct {
				Requests int `json:"requests_total"`
			}
		}
		require.NoError(t, json.Unmarshal(spanbucket(t, "stats", "--db", db, "--include-open", "--format", "json"), &stats))
		require.Equal(t, fmt.Sprint(stats.Headline.Requests), eval[string](b, `document.querySelector(".tile-value").textContent.replaceAll(",", "")`))
		charts := eval[[]string](b, `[...document.querySelectorAll(".chart")].map((c) => c.id.replace("-chart", ""))`)
		require.Subset(t, charts, []string{"happenings", "throughput", "latency", "heat", "ttft", "tokens"})
		for _, chart := range charts {
			require.Greater(t, eval[float64](b, fmt.Sprintf("(%s)(%q)", painted, chart)), 0.001, chart)
		}
		require.Subset(t, eval[[]string](b, `[...document.querySelectorAll("main section.card")].map((s) => s.id)`),
			[]string{"verdict", "errors", "faults", "by-model", "by-provider", "by-service", "circuits", "usage", "slowest", "tools", "sessions", "notes"})
		require.LessOrEqual(t, eval[int](b, `document.documentElement.scrollWidth`), l.width)
		eval[any](b, touch)
		text := eval[string](b, `document.querySelector("main").innerText`)
		for _, wrong := range []string{"NaN", "undefined", "Invalid Date", "[object"} {
			require.NotContains(t, text, wrong)
		}
		b.quiet()
	}
}

// keys returns the names of all fields of JSON, each with the path to it; * is
// any element of a list, or any field where names are data.
func keys(v any, at string, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, field := range v {
			if strings.HasSuffix(at, ".outcomes") || strings.HasSuffix(at, ".percentiles_ms") {
				name = "*"
			}
			into[at+"."+name] = true
			keys(field, at+"."+name, into)
		}
	case []any:
		for _, element := range v {
			keys(element, at+".*", into)
		}
	}
}

// Every field of the fixture is one of real reports: the other tests show what
// there is.
func TestFixtureHasTheFieldsOfReports(t *testing.T) {
	var fixture, report any
	require.NoError(t, json.Unmarshal(plain(t), &fixture))
	require.NoError(t, json.Unmarshal(spanbucket(t, "report", "--db", recorded(t), "--include-open", "--format", "json"), &report))
	want, have := map[string]bool{}, map[string]bool{}
	keys(fixture, "", want)
	keys(report, "", have)
	var strange []string
	for _, name := range sorted(want) {
		parent := name[:strings.LastIndex(name, ".")]
		// Of what is empty or null in these reports nothing is known.
		known := parent == "" || slices.ContainsFunc(sorted(have), func(h string) bool { return strings.HasPrefix(h, parent+".") })
		if known && !have[name] {
			strange = append(strange, name)
		}
	}
	require.Empty(t, strange, "no report has these")
}

func sorted(set map[string]bool) (all []string) {
	for name := range set {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// The live page of the program shows the same, under the policy that its server
// sends, and asks for nothing but its own data.
func TestLivePageOfTheProgram(t *testing.T) {
	name, err := program()
	require.NoError(t, err)
	serve := exec.CommandContext(t.Context(), name, "serve", "--db", recorded(t), "--include-open", "--listen", "127.0.0.1:0", "--refresh", "1s")
	talk, err := serve.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, serve.Start())
	t.Cleanup(func() { _ = serve.Wait() }) // its context has ended by then
	line, err := bufio.NewReader(talk).ReadString('\n')
	require.NoError(t, err)
	address := strings.TrimSpace(line[strings.Index(line, "http://"):])
	b := open(t, looks[3], address)
	b.wait(`document.querySelectorAll(".chart canvas").length >= 6`)
	require.Contains(t, eval[string](b, `document.getElementById("live-state").textContent`), "live")
	total := eval[string](b, `document.querySelector(".tile-value").textContent`)
	b.run(chromedp.Evaluate[chromedp.Void](`{ const s = document.getElementById("run"); s.selectedIndex = 1; s.dispatchEvent(new Event("change")); }`))
	b.wait(fmt.Sprintf(`document.querySelector(".tile-value")?.textContent !== %q`, total))
	b.mu.Lock()
	for _, asked := range b.requests {
		require.True(t, asked == address || strings.HasPrefix(asked, address+"report.json") || strings.HasPrefix(asked, "data:"), asked)
	}
	b.mu.Unlock()
	b.quiet()
}
