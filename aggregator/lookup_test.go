package aggregator

import "testing"

// TestEqualIDsOfUnequalSeries forges what takes billions of attempts to find:
// the second series must not be added to the first.
func TestEqualIDsOfUnequalSeries(t *testing.T) {
	d := NewDelta(Widths{Headline: 1, Series: 1})
	first := NamedSeries{ID: 7, Series: Series{Service: "a", Model: "m"}}
	second := NamedSeries{ID: 7, Series: Series{Service: "b", Model: "m"}}
	i, j := d.addSeries(first), d.addSeries(second)
	if i == j {
		t.Fatal("one series for both")
	}
	if d.series[i] != first {
		t.Errorf("the first became %+v", d.series[i])
	}
	if want := second.Overflowed(); d.series[j].Series != want || d.series[j].ID != want.ID() {
		t.Errorf("the second became %+v, want %+v", d.series[j], want)
	}
	if d.addSeries(first) != i || d.addSeries(second) != j {
		t.Error("found elsewhere the second time")
	}
}
