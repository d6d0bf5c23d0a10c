package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/analysis"
)

// What a run says of how its load was made, in words: known keys first, in a
// fixed order; whatever else there is as it is.
func TestSettings(t *testing.T) {
	text := func(v string) *string { return &v }
	for _, c := range []struct {
		name    string
		row     analysis.RunRow
		want    []string
		loop    string
		remarks []string // what the remark says
	}{
		{name: "nothing"},
		{
			name: "closed", loop: "closed", remarks: []string{"closed loop", "hides part of its own latency"},
			row: analysis.RunRow{Mode: text("full"), Profile: text("quick"), Preset: text("chaos"),
				ConfigJSON: text(`{"seed":1,"users":200,"loop":"closed","think":0.5,"duration_s":36,"spawn_rate":50,"profile":"quick","mode":"full"}`)},
			want: []string{"mode=full", "profile=quick", "preset=chaos", "loop=closed", "users=200", "users started per second=50", "duration=36 s",
				"think time=0.5 × natural", "seed=1"},
		},
		{
			name: "open, ended", loop: "open", remarks: []string{"open loop", "came late: 12; starts that were dropped: 3.", "flatter"},
			row:  analysis.RunRow{ConfigJSON: text(`{"delayed_starts":12,"dropped_starts":3,"loop":"open","rate":40,"target":"http://127.0.0.1:1/v1"}`)},
			want: []string{"loop=open", "target=http://127.0.0.1:1/v1", "calls begun per second=40", "starts that came late=12", "starts that were dropped=3"},
		},
		{
			name: "open, not ended", loop: "open", remarks: []string{"open loop", "is not known"},
			row: analysis.RunRow{ConfigJSON: text(`{"loop":"open"}`)}, want: []string{"loop=open"},
		},
		{
			name: "keys and loops of others",
			row:  analysis.RunRow{ConfigJSON: text(`{"loop":"sideways","z":{"a": [1, null]},"b":true,"n":null,"e":"","big":12345678901234567890}`)},
			want: []string{"loop=sideways", "b=true", "big=12345678901234567890", `z={"a":[1,null]}`},
		},
		{name: "no object", row: analysis.RunRow{ConfigJSON: text(`[1,2]`)}, want: []string{"configuration=[1,2]"}},
		{name: "no JSON", row: analysis.RunRow{ConfigJSON: text(`users: 4`), Mode: text("mine")}, want: []string{"mode=mine", "configuration=users: 4"}},
		{name: "null", row: analysis.RunRow{ConfigJSON: text(`null`)}, want: []string{"configuration=null"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(&c.row, false, true)
			var got []string
			for _, s := range r.Settings {
				got = append(got, s.Name+"="+s.Value)
			}
			require.Equal(t, c.want, got)
			require.Equal(t, c.loop, orEmpty(r.Loop))
			require.NotNil(t, r.Remarks)
			for _, part := range c.remarks {
				require.Contains(t, strings.Join(r.Remarks, " "), part)
			}
			require.Equal(t, len(c.remarks) > 0, len(r.Remarks) > 0)
			require.Equal(t, c.row.ConfigJSON, r.ConfigJSON)
			require.Empty(t, newRun(&c.row, false, false).Settings, "not in detail")
		})
	}
}

// However much a run says of itself, a report stays small.
func TestSettingsAreBounded(t *testing.T) {
	var config strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&config, `,"%s%d":"%s"`, strings.Repeat("k", 1000), i, strings.Repeat("v", 1000))
	}
	text := "{" + config.String()[1:] + "}"
	r := newRun(&analysis.RunRow{ConfigJSON: &text}, false, true)
	require.Len(t, r.Settings, maxSettings)
	for _, s := range r.Settings {
		require.LessOrEqual(t, len([]rune(s.Name)), maxSettingColumns)
		require.LessOrEqual(t, len([]rune(s.Value)), maxSettingColumns)
	}
	require.Nil(t, r.ConfigJSON, "longer than anything the exporter stores")
}

// Text and Markdown say how the load of the runs that they are about was made.
func TestTextSaysHowTheLoadWasMade(t *testing.T) {
	run := func(id, config string) Run {
		return newRun(&analysis.RunRow{Run: analysis.Run{RunID: id}, ConfigJSON: &config}, true, true)
	}
	r := &Report{Runs: []Run{run("a", `{"loop":"closed","users":2}`), run("b|\x1b[31m", `{"loop":"closed","x":"<b>"}`), run("", `{}`)}}
	said := func(p *Pick) (lines []string) {
		var d document
		r.addLoad(&d, p)
		for _, b := range d.blocks {
			lines = append(lines, fmt.Sprint(b))
		}
		return lines
	}
	all := said(&Pick{})
	require.Len(t, all, 3, "a heading, the runs, and what holds for both of them once")
	require.Equal(t, "[[run a: loop closed · users 2] [run b|\x1b[31m: loop closed · x <b>]]", all[1])
	require.Contains(t, all[2], "hides part of its own latency")
	id := "a"
	require.Equal(t, "[[run a: loop closed · users 2]]", said(&Pick{RunID: &id})[1])
	id = ""
	require.Empty(t, said(&Pick{RunID: &id}))
	for range 9 {
		r.Runs = append(r.Runs, run("more", `{"users":3}`))
	}
	require.Contains(t, said(&Pick{})[1], "[runs and more: --run shows them]")
}
