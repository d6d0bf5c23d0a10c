package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// TestQuick runs every row once or twice. It asserts no time: those depend on
// the machine and on what else it does.
func TestQuick(t *testing.T) {
	var out bytes.Buffer
	if err := command(t.Context(), []string{"-quick", "-dir", ".tmp"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	table := out.String()
	t.Log("\n" + table)
	for _, r := range rows {
		if got := strings.Count(table, r.title+" "); got < len(profiles) {
			t.Errorf("row %q: %d lines, want one per profile", r.title, got)
		}
	}
	for _, profile := range profiles {
		if !strings.Contains(table, profile.Name+"  at span 100000") {
			t.Errorf("profile %s: no line about growth", profile.Name)
		}
	}
	for _, traffic := range sizeTraffics {
		if !strings.Contains(table, traffic.title) {
			t.Errorf("traffic %q: no line about sizes", traffic.title)
		}
	}
	for _, q := range questions {
		if !strings.Contains(table, q.verb+"  ") {
			t.Errorf("question %q: no line", q.verb)
		}
	}
	for _, bad := range []string{"NaN", "Inf", "%!"} {
		if strings.Contains(table, bad) {
			t.Errorf("the table contains %s", bad)
		}
	}
}

func TestParse(t *testing.T) {
	if _, err := parse([]string{"-rounds", "7"}, io.Discard); err == nil {
		t.Error("seven rounds were accepted")
	}
	o, err := parse([]string{"-rows", "fold,walk"}, io.Discard)
	if err != nil || len(o.rows) != 2 || o.rounds < 8 {
		t.Errorf("options %+v, error %v", o, err)
	}
}

func TestSelected(t *testing.T) {
	some, err := selected([]string{"fold"})
	if err != nil || len(some) != 2 || some[0].key != "peer" || some[1].key != "fold" {
		t.Errorf("rows %v, error %v", some, err)
	}
	if _, err := selected([]string{"fald"}); err == nil {
		t.Error("an unknown row was accepted")
	}
}

func TestSummarize(t *testing.T) {
	if got, want := summarize([]float64{3, 1, 2, 10}), (summary{1, 2.5, 10}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := summarize(nil).spread(); got != 0 {
		t.Errorf("spread %v of nothing", got)
	}
}

func TestSlug(t *testing.T) {
	if got, want := slug("Intel(R) Core(TM) i7-1185G7 @ 3.00GHz"), "intel-r-core-tm-i7-1185g7-3-00ghz"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
