package tables_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func TestCellsOfTextTables(t *testing.T) {
	f := func(v float64) *float64 { return &v }
	n := func(v int64) *int64 { return &v }
	for _, c := range []struct{ what, got, want string }{
		{"count", tables.Count(1234567), "1,234,567"}, {"negative count", tables.Count(-1234), "-1,234"}, {"small count", tables.Count(999), "999"},
		{"compact nothing", tables.Compact(nil), "-"}, {"compact small", tables.Compact(n(999_999)), "999,999"},
		{"compact million", tables.Compact(n(1_234_567)), "1.23M"}, {"compact", tables.Compact(n(123_878_481)), "123.9M"},
		{"compact giga", tables.Compact(n(4_200_000_000)), "4.20G"}, {"compact tera", tables.Compact(n(1_230_000_000_000_000)), "1,230.0T"},
		{"ms nothing", tables.MS(nil), "-"}, {"ms zero", tables.MS(f(0)), "0.0"}, {"ms tiny", tables.MS(f(0.0312)), "0.0312"},
		{"ms nanosecond", tables.MS(f(0.000001)), "0.000001"}, {"ms small", tables.MS(f(1.5)), "1.50"}, {"ms", tables.MS(f(471.94)), "471.9"},
		{"ms seconds", tables.MS(f(29_930.6)), "29,931"},
		{"percent nothing", tables.Percent(nil), "-"}, {"percent zero", tables.Percent(f(0)), "0.0"}, {"percent", tables.Percent(f(0.12345)), "12.3"},
		{"percent nearly zero", tables.Percent(f(0.0001)), "<0.1"}, {"percent nearly all", tables.Percent(f(0.9999)), "99.9"}, {"percent all", tables.Percent(f(1)), "100.0"},
		{"usd nothing", tables.USD(nil), "-"}, {"usd zero", tables.USD(f(0)), "0.00"}, {"usd", tables.USD(f(527.431)), "527.43"}, {"usd small", tables.USD(f(0.00691)), "0.00691"},
		{"duration zero", tables.Length(0), "0s"}, {"duration", tables.Length(93_400_000), "93ms"}, {"duration short", tables.Length(5_750_000_000), "5.8s"},
		{"duration whole", tables.Length(12_003_000_000), "12.0s"}, {"duration nearly a minute", tables.Length(59_960_000_000), "1m"},
		{"duration minute", tables.Length(65_400_000_000), "1m5s"}, {"duration hours", tables.Length(26*3600e9 + 600e9), "26h10m"}, {"duration hour", tables.Length(3600e9), "1h"},
		{"seconds", tables.Seconds(45), "45s"}, {"seconds hours", tables.Seconds(26399), "7h19m59s"}, {"seconds day", tables.Seconds(86400), "24h"},
		{"bytes", tables.Bytes(1023), "1023 B"}, {"kibibytes", tables.Bytes(1536), "1.5 KiB"}, {"gibibytes", tables.Bytes(10 << 30), "10.0 GiB"},
		{"width", tables.WidthName(1), "1s"}, {"width in minutes", tables.WidthName(300), "5m"}, {"width in hours", tables.WidthName(3600), "1h"},
		{"width in days", tables.WidthName(86400), "1d"}, {"odd width", tables.WidthName(100000), "100000s"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
}

func TestCleanTakesTheTeethOutOfText(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", "größe 模型": "größe 模型", "a\x1b[31mb": "a\uFFFD[31mb", "tab\there": "tab\uFFFDhere",
		"line\nline": "line\uFFFDline", "\u202Egnp.exe": "\uFFFDgnp.exe", "\u2066x\u2069": "\uFFFDx\uFFFD",
		"bad\xffutf8": "bad\uFFFDutf8", "\u0085": "\uFFFD", "a\u2028b": "a\uFFFDb", "\x7f": "\uFFFD",
	} {
		if got := tables.Clean(text); got != want {
			t.Errorf("clean(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	type row struct {
		name   string
		a, b   string
		hidden string
	}
	rows := []row{{"模型", "1", "22,222", ""}, {"", "", "3", "-"}, {strings.Repeat("x", 40), "4", "5", ""}}
	table := tables.New(rows)
	table.Text("name", func(r *row) string { return r.name })
	table.Number("a", func(r *row) string { return r.a })
	table.Group = "both ms"
	table.Number("b", func(r *row) string { return r.b })
	table.Number("b too", func(r *row) string { return r.b })
	table.Group = ""
	table.Number("never shown", func(r *row) string { return r.hidden })
	var out strings.Builder
	if err := table.Write(&out); err != nil {
		t.Fatal(err)
	}
	want := `
                                     both ms ──────
name                              a       b   b too
────────────────────────────────  ─  ──────  ──────
模型                              1  22,222  22,222
-                                 -       3       3
xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…  4       5       5
`
	if got := "\n" + out.String(); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
	if err := tables.New(rows).Write(&out); err != nil {
		t.Errorf("a table without columns: %v", err)
	}
}

func TestDisplayWidth(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "é": 1, "e\u0301": 1, "模型": 4, "ﾃｽﾄ": 3, "─": 1} {
		if got := tables.DisplayWidth(text); got != want {
			t.Errorf("displayWidth(%q) = %d, want %d", text, got, want)
		}
	}
	if got := tables.Cut("模型模型", 5); got != "模型…" {
		t.Errorf("cut in the middle of a wide rune: %q", got)
	}
}

// What acts on a terminal is escaped in JSON, which means the same.
func TestCleanJSONMeansTheSame(t *testing.T) {
	names := []string{"gpt-4o", "é", "a\u009b31mb", "a\u202eb\u2066", "\u2028", "\x7f", "\U000e0041", "\x1b[31m", "\\u202e"}
	text, err := json.MarshalIndent(map[string]any{"names": names, "\u202ekey": 1}, "", "  ")
	require.NoError(t, err)
	cleaned := tables.CleanJSON(text)
	require.JSONEq(t, string(text), string(cleaned))
	require.Equal(t, strings.Count(string(text), "\n"), strings.Count(string(cleaned), "\n"))
	lines := strings.ReplaceAll(string(cleaned), "\n", "")
	require.Equal(t, tables.Clean(lines), lines)
	require.Contains(t, lines, `a\u009b31mb`)
	require.Contains(t, lines, `\udb40\udc41`)
}
