package aggregator

import (
	"slices"
	"testing"
)

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

// TestSeriesOf finds the series of what was folded, however it was written, and
// of nothing else.
func TestSeriesOf(t *testing.T) {
	d := NewDelta(Widths{Headline: 1, Series: 10})
	clean, unclean, other, rejected := &Observation{}, &Observation{}, &Observation{}, &Observation{}
	clean.Series.Model, unclean.Series.Model = "m\uFFFD", "m\x00"
	other.Series.Model, rejected.Series.Model = "never folded", "rejected"
	rejected.Rejected = RejectedNoStartTime
	for _, o := range []*Observation{clean, unclean, rejected} {
		d.Fold(o)
	}
	for o, notes := range map[*Observation]Note{clean: 0, unclean: NoteNULByte} {
		i, cleaned, folded := d.SeriesOf(o)
		if !folded || cleaned != notes || d.Series()[i].Model != "m\uFFFD" {
			t.Errorf("%q: series %d, notes %b, folded %v", o.Series.Model, i, cleaned, folded)
		}
	}
	for _, o := range []*Observation{other, rejected} {
		if _, _, folded := d.SeriesOf(o); folded {
			t.Errorf("%q was not folded", o.Series.Model)
		}
	}
	d.Reset()
	if _, _, folded := d.SeriesOf(clean); folded {
		t.Error("folded before the Reset")
	}
}

// TestDetails: the set of a span becomes that of its delta, and of those that
// it is merged into; a span that is rejected has no say.
func TestDetails(t *testing.T) {
	widths := Widths{Headline: 1, Series: 10}
	d, merged := NewDelta(widths), NewDelta(widths)
	d.Fold(&Observation{Details: DetailsOfEvents, Rejected: RejectedNoStartTime})
	d.Fold(&Observation{})
	if d.Details() != 0 {
		t.Error("details without such a span")
	}
	d.Fold(&Observation{Details: DetailsOfEvents})
	if err := merged.Merge(d); err != nil || d.Details() != DetailsOfEvents || merged.Details() != DetailsOfEvents {
		t.Errorf("details %v, merged %v, error %v", d.Details(), merged.Details(), err)
	}
	if d.Reset(); d.Details() != 0 {
		t.Error("details after a Reset")
	}
}

func TestNamesOfNotes(t *testing.T) {
	var names []string
	for name := range (NoteZeroID | NoteInvalidTraceState | NoteEndBeforeStart).Names {
		names = append(names, name)
	}
	if want := []string{"end_before_start", "zero_id", "invalid_trace_state"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}
