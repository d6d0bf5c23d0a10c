package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
)

// JoinedFault is one fault in one run, however many sources tell of it: windows
// of the same fault and target that overlap or touch are one, and so are an
// injector's and those of the marks that spans of its experiment carry. Marks
// all through a run that nobody has announced are one as well.
type JoinedFault struct {
	RunID         string   `json:"run_id"`
	Fault         string   `json:"fault"`
	Target        *string  `json:"target"`
	ExperimentIDs []string `json:"experiment_ids"`
	// Kinds are the faults that spans name within the experiment of this one,
	// ascending; empty where they name none but this.
	Kinds []string `json:"kinds"`
	// KindRows tell of each of Kinds, in the order of their start.
	KindRows  []FaultKind `json:"kind_rows"`
	Sources   []string    `json:"sources"` // config, import, injector, requests
	WindowIDs []string    `json:"window_ids"`
	StartUTC  string      `json:"start_utc"`
	EndUTC    string      `json:"end_utc"`
	StartNS   int64       `json:"start_ns"`
	EndNS     int64       `json:"end_ns"`
	DurationS float64     `json:"duration_s"`
	// Background: marks that nobody has announced, scattered all through the run
	// as by chance. There is no before and no after.
	Background bool `json:"background"`
	// Marked is how many requests say that the fault touched them: the most
	// that one of the windows counts.
	Marked int64 `json:"requests_marked"`
	// MarkedSpans counts all spans that say so, those that are no requests, as
	// of servers, too; nil in a file of a schema that does not tell.
	MarkedSpans *int64 `json:"spans_marked"`
	// MarkedCategories are those of these spans, ascending.
	MarkedCategories []string `json:"marked_categories"`
}

// FaultKind is a fault that spans name within the experiment of another.
type FaultKind struct {
	Fault   string `json:"fault"`
	Windows int    `json:"windows"` // that it was seen in
	// StartNS is when the first span with this mark started, EndNS when the last
	// one ended, perhaps after the fault as a whole.
	StartUTC    string `json:"start_utc"`
	EndUTC      string `json:"end_utc"`
	StartNS     int64  `json:"start_ns"`
	EndNS       int64  `json:"end_ns"`
	Marked      int64  `json:"requests_marked"`
	MarkedSpans *int64 `json:"spans_marked"`
}

// AskJoinedFaults answers which faults there are of the run, and in the interval,
// of q, in the order of their start. windows are all of the file.
func AskJoinedFaults(ctx context.Context, tx *sql.Tx, q Query, windows *FaultWindows) ([]JoinedFault, error) {
	runs, err := readRunExtents(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("faults: %w", err)
	}
	all := []JoinedFault{}
	for _, g := range groupFaults(windows.Rows, runs) {
		if g.within(q) {
			all = append(all, g.joined())
		}
	}
	return all, nil
}

// joined says of a group of windows what they are together.
func (g *faultGroup) joined() JoinedFault {
	f := JoinedFault{
		RunID: g.run, Fault: g.fault, Target: g.target, ExperimentIDs: g.experiments(), Kinds: append([]string{}, g.kinds...), KindRows: g.kindRows(),
		Sources: []string{}, WindowIDs: []string{}, MarkedCategories: []string{}, Background: g.background,
		StartUTC: utcText(g.start), EndUTC: utcText(g.end), StartNS: g.start, EndNS: g.end, DurationS: float64(g.end-g.start) / 1e9,
	}
	if f.ExperimentIDs == nil {
		f.ExperimentIDs = []string{}
	}
	var seen, said *int64
	for _, w := range g.windows {
		f.Sources = append(f.Sources, w.Source)
		f.WindowIDs = append(f.WindowIDs, w.WindowID)
		f.MarkedCategories = append(f.MarkedCategories, w.MarkedCategories...)
		f.Marked = max(f.Marked, w.Requests)
		switch n := w.MarkedSpans; {
		case n == nil:
		case w.Source == sourceRequests:
			seen = added(seen, *n)
		case said == nil || *n > *said:
			said = n
		}
	}
	// What was seen is each mark once; what was said counts what it met.
	if f.MarkedSpans = seen; seen == nil {
		f.MarkedSpans = said
	}
	for _, list := range []*[]string{&f.Kinds, &f.Sources, &f.WindowIDs, &f.MarkedCategories} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	if g.background {
		f.Marked = 0
		for _, w := range g.windows {
			f.Marked += w.Requests
		}
	}
	return f
}

// added returns a sum that may have no part yet.
func added(sum *int64, n int64) *int64 {
	if sum != nil {
		n += *sum
	}
	return &n
}

// kindRows sums up the windows of each kind.
func (g *faultGroup) kindRows() []FaultKind {
	rows := []FaultKind{}
	for _, w := range g.windows {
		if w.Source != sourceRequests || !slices.Contains(g.kinds, w.Fault) {
			continue
		}
		i := slices.IndexFunc(rows, func(k FaultKind) bool { return k.Fault == w.Fault })
		if i < 0 {
			i, rows = len(rows), append(rows, FaultKind{Fault: w.Fault, StartNS: w.StartNS, EndNS: w.EndNS})
		}
		k := &rows[i]
		k.Windows++
		k.StartNS, k.EndNS = min(k.StartNS, w.StartNS), max(k.EndNS, w.EndNS)
		k.Marked += w.Requests
		if w.MarkedSpans != nil {
			k.MarkedSpans = added(k.MarkedSpans, *w.MarkedSpans)
		}
	}
	for i := range rows {
		rows[i].StartUTC, rows[i].EndUTC = utcText(rows[i].StartNS), utcText(rows[i].EndNS)
	}
	slices.SortFunc(rows, func(a, b FaultKind) int {
		return cmp.Or(cmp.Compare(a.StartNS, b.StartNS), cmp.Compare(a.EndNS, b.EndNS), cmp.Compare(a.Fault, b.Fault))
	})
	return rows
}
