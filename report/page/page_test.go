package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func written(t *testing.T, title, model string) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, Write(&b, title, []byte(model)))
	return b.String()
}

var element = regexp.MustCompile(`(?s)<(script|style)([^>]*)>(.*?)</(script|style)>`)

// The policy names exactly the blocks that the page has, as a browser hashes
// them: what stands between the tags.
func TestPolicyNamesEveryBlock(t *testing.T) {
	for name, page := range map[string]string{"static": written(t, "report", `{"a":1}`), "live": shell(t)} {
		policy := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)[1]
		policy = strings.ReplaceAll(policy, "&#39;", "'")
		require.NotContains(t, policy, "unsafe", name)
		require.True(t, strings.HasPrefix(policy, "default-src 'none'"), name)
		require.Equal(t, name == "live", strings.Contains(policy, "connect-src 'self'"))
		var data int
		for _, m := range element.FindAllStringSubmatch(page, -1) {
			if strings.Contains(m[2], "application/json") {
				data++
				continue
			}
			require.Contains(t, policy, m[1]+"-src")
			require.Contains(t, policy, sourceOf(m[3]), "%s: <%s> of %d bytes", name, m[1], len(m[3]))
		}
		require.Equal(t, 1, data, name)
		require.Equal(t, 3, strings.Count(policy, "'sha256-"), name)
	}
}

func shell(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, Shell(&b, "live", "report.json", 5*time.Second))
	return b.String()
}

// No address of another host, no handler and no style in the page's own parts.
func TestPageIsSelfContained(t *testing.T) {
	page := written(t, "report", `{}`)
	for _, m := range element.FindAllString(page, -1) {
		page = strings.Replace(page, m, "", 1)
	}
	require.NotRegexp(t, `(?i)\b(src|href)\s*=\s*["']?(?:https?:)?//`, page)
	require.NotRegexp(t, `(?i)\son\w+\s*=`, page)
	require.NotRegexp(t, `(?i)\sstyle\s*=`, page)
}

func TestModelCannotLeaveItsElement(t *testing.T) {
	names := []string{
		"</script><script>alert(1)</script>", "<!--<script>", "]]>", "\u2028\u2029", "<img src=x onerror=alert(1)>", `"}'`, "<\u0000>",
	}
	model, err := json.Marshal(map[string]any{"names": names})
	require.NoError(t, err)
	// json.Marshal escapes by itself: undo it, as another encoder would not.
	raw := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u2028`, "\u2028", `\u2029`, "\u2029").Replace(string(model))
	page := written(t, "</title><script>alert(1)</script>", raw)
	require.NotContains(t, page, "alert(1)</script>")
	require.Equal(t, 3, strings.Count(page, "</script>"))
	data := regexp.MustCompile(`(?s)id="model">(.*?)</script>`).FindStringSubmatch(page)[1]
	require.NotContains(t, data, "<")
	var back struct{ Names []string }
	require.NoError(t, json.Unmarshal([]byte(data), &back))
	require.Equal(t, names, back.Names)
}

func TestModelMustBeAnObject(t *testing.T) {
	for _, model := range []string{"", "null", "[]", "1", `"a"`, "{", "{}}", "<script>"} {
		var b bytes.Buffer
		require.ErrorIs(t, Write(&b, "t", []byte(model)), ErrModel, model)
		require.Zero(t, b.Len(), model)
	}
}

func TestPageIsDeterministic(t *testing.T) {
	require.Equal(t, written(t, "t", `{"a":1}`), written(t, "t", `{"a":1}`))
}

// What browsers would change before they hash it must not be in a block, nor
// what would end it.
func TestBlocksAreReadAsWritten(t *testing.T) {
	p := parsed()
	for name, block := range map[string]string{"charts": charts, "script": p.script, "style": p.style} {
		require.NotContains(t, block, "\r", name)
		require.NotContains(t, block, "\x00", name)
		require.NotRegexp(t, `(?i)</(script|style)|<!--`, block, name)
	}
	require.NotRegexp(t, `\beval\(|new Function\b|document\.write|insertAdjacentHTML|innerHTML|outerHTML`, p.script)
	require.NotRegexp(t, `\beval\(|new Function\b|document\.write`, charts)
}

// Every file in assets is part of the page, and short.
func TestAssetsAreUsedAndShort(t *testing.T) {
	files, err := os.ReadDir("assets")
	require.NoError(t, err)
	for _, f := range files {
		text, err := assets.ReadFile("assets/" + f.Name())
		require.NoError(t, err, "not embedded")
		require.LessOrEqual(t, bytes.Count(text, []byte("\n")), 300, f.Name())
		switch filepath.Ext(f.Name()) {
		case ".js":
			require.True(t, slices.Contains(scripts, f.Name()), "%s is in no page", f.Name())
		case ".css":
			require.True(t, slices.Contains(styles, f.Name()), "%s is in no page", f.Name())
		}
	}
}

// The vendored library is what tools/echarts/build.sh made.
func TestChartsLibraryIsTheRecordedOne(t *testing.T) {
	sums, err := os.ReadFile("echarts/SHA256SUMS")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(sums)), "\n")
	require.Len(t, lines, 3)
	for _, line := range lines {
		want, name, _ := strings.Cut(line, "  ")
		file, err := os.ReadFile("echarts/" + name)
		require.NoError(t, err)
		sum := sha256.Sum256(file)
		require.Equal(t, want, hex.EncodeToString(sum[:]), "%s: renew it with tools/echarts/build.sh", name)
	}
	require.True(t, strings.HasPrefix(charts, "/*! Apache ECharts "+EChartsVersion+" "))
	wanted, err := os.ReadFile("../../tools/echarts/package.json")
	require.NoError(t, err)
	require.Contains(t, string(wanted), `"echarts": "`+EChartsVersion+`"`)
}

// FuzzModel: whatever JSON it is, the page has its elements and the JSON means
// the same.
func FuzzModel(f *testing.F) {
	for _, seed := range []string{"</script>", "<!--", "\u2028", "a\\u003cb", "\\<"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		var raw bytes.Buffer
		model := json.NewEncoder(&raw)
		model.SetEscapeHTML(false) // what makes it inert is to be seen
		require.NoError(t, model.Encode(map[string]string{"name": name}))
		var before, after any
		require.NoError(t, json.Unmarshal(raw.Bytes(), &before))
		text := inert(raw.Bytes())
		require.NotContains(t, text, "<")
		require.NoError(t, json.Unmarshal([]byte(text), &after))
		require.Equal(t, before, after)
	})
}
