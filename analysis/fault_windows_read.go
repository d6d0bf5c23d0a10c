package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// markGroup is what marked requests of one window have in common.
type markGroup struct{ run, fault, target, experiment string }

// statedWindow is a window that was said, not seen.
type statedWindow struct {
	source string
	markGroup
	start, end int64
	// ofFault and ofAny weigh what is marked with the same fault, and with any,
	// and starts in it.
	ofFault, ofAny marks
}

// seenWindow is a window that is made of marked requests.
type seenWindow struct {
	start, end int64
	marks
}

// marks weighs marked spans, in millionths.
type marks struct {
	requests, spans int64
	categories      uint64 // of the spans, a bit each
}

func (m *marks) add(o marks) {
	m.requests, m.spans, m.categories = m.requests+o.requests, m.spans+o.spans, m.categories|o.categories
}

// windowReader makes fault windows as the relation fault_windows does, in one
// pass over the marked requests in the order of their start.
type windowReader struct {
	gap      int64
	headline []aggregator.Category
	series   map[aggregator.SeriesID]markedSeries
	profiles map[int64][2]string // target and experiment of those that have one
	stated   []statedWindow      // by start
	next     int                 // the first of stated that has not begun
	active   []int               // of stated
	seen     map[markGroup][]seenWindow
	marked   map[string]bool // faults that are marked
}

type markedSeries struct {
	run, fault string
	counts     bool // its spans are requests of the file
	category   uint64
}

// readFaultWindows answers as the relation fault_windows of the present schema,
// several times faster where many requests are marked.
func readFaultWindows(ctx context.Context, tx *sql.Tx, headline []aggregator.Category) ([]FaultWindow, error) {
	w := &windowReader{headline: headline, seen: map[markGroup][]seenWindow{}, marked: map[string]bool{}}
	for _, step := range []func(context.Context, *sql.Tx) error{w.readGap, w.readSeries, w.readProfiles, w.readStated, w.readMarked} {
		if err := step(ctx, tx); err != nil {
			return nil, err
		}
	}
	return w.windows(), nil
}

func (w *windowReader) readGap(ctx context.Context, tx *sql.Tx) error {
	w.gap = 5_000_000_000
	gap, err := metaNumber(ctx, tx, "fault_gap_ns")
	if gap != nil {
		w.gap = *gap
	}
	return err
}

func (w *windowReader) readSeries(ctx context.Context, tx *sql.Tx) error {
	w.series = map[aggregator.SeriesID]markedSeries{}
	return eachRow(ctx, tx, "SELECT series_id, run_id, fault, category FROM series", func(rows *sql.Rows) error {
		var id aggregator.SeriesID
		var s markedSeries
		var category string
		err := rows.Scan(&id, &s.run, &s.fault, &category)
		c, ok := aggregator.ParseCategory(category)
		s.counts = ok && slices.Contains(w.headline, c)
		if ok {
			s.category = 1 << c
		}
		w.series[id] = s
		return err
	})
}

func (w *windowReader) readProfiles(ctx context.Context, tx *sql.Tx) error {
	w.profiles = map[int64][2]string{}
	const query = `SELECT profile_id, coalesce(target, ''), coalesce(experiment_id, '') FROM request_profile
		WHERE target IS NOT NULL OR experiment_id IS NOT NULL`
	return eachRow(ctx, tx, query, func(rows *sql.Rows) error {
		var id int64
		var texts [2]string
		err := rows.Scan(&id, &texts[0], &texts[1])
		w.profiles[id] = texts
		return err
	})
}

func (w *windowReader) readStated(ctx context.Context, tx *sql.Tx) error {
	const query = `SELECT source, run_id, fault, target, experiment_id, start_ns, max(end_ns) FROM fault_window
		GROUP BY source, run_id, fault, target, experiment_id, start_ns ORDER BY start_ns`
	return eachRow(ctx, tx, query, func(rows *sql.Rows) error {
		var s statedWindow
		err := rows.Scan(&s.source, &s.run, &s.fault, &s.target, &s.experiment, &s.start, &s.end)
		w.stated = append(w.stated, s)
		return err
	})
}

func (w *windowReader) readMarked(ctx context.Context, tx *sql.Tx) error {
	const query = `SELECT start_ns, duration_ns, series_id, coalesce(profile_id, 0), kept & 4, coalesce(weight_micro, 1000000)
		FROM request INDEXED BY request_marked WHERE marked = 1 ORDER BY start_ns`
	return eachRow(ctx, tx, query, func(rows *sql.Rows) error {
		var start, duration, profile, whole, micro int64
		var id aggregator.SeriesID
		if err := rows.Scan(&start, &duration, &id, &profile, &whole, &micro); err != nil {
			return err
		}
		s, ok := w.series[id]
		if !ok {
			return nil
		}
		if whole != 0 {
			micro = 1_000_000 // every one like it is kept
		}
		m := marks{spans: micro, categories: s.category}
		if s.counts {
			m.requests = micro // of a call and the HTTP call inside it, one
		}
		w.mark(s, w.profiles[profile], start, start+max(duration, 0), m)
		return nil
	})
}

// mark adds a marked request.
func (w *windowReader) mark(s markedSeries, profile [2]string, start, end int64, m marks) {
	w.marked[s.fault] = true
	group := markGroup{s.run, s.fault, profile[0], profile[1]}
	all := w.seen[group]
	if n := len(all); n > 0 && start-all[n-1].end <= w.gap {
		all[n-1].end = max(all[n-1].end, end)
		all[n-1].add(m)
	} else {
		w.seen[group] = append(all, seenWindow{start, end, m})
	}
	for ; w.next < len(w.stated) && w.stated[w.next].start <= start; w.next++ {
		w.active = append(w.active, w.next)
	}
	w.active = slices.DeleteFunc(w.active, func(i int) bool {
		t := &w.stated[i]
		return start >= max(t.end, t.start+1)
	})
	for _, i := range w.active {
		if t := &w.stated[i]; t.run == "" || t.run == s.run {
			t.ofAny.add(m)
			if t.fault == s.fault {
				t.ofFault.add(m)
			}
		}
	}
}

// windows returns them in the order of their start.
func (w *windowReader) windows() []FaultWindow {
	all := []FaultWindow{}
	for group, windows := range w.seen {
		for _, s := range windows {
			all = append(all, newFaultWindow("requests", group, s.start, s.end, s.marks))
		}
	}
	for _, s := range w.stated {
		// Where nothing is marked with this fault, all that is marked counts.
		met := s.ofAny
		if w.marked[s.fault] {
			met = s.ofFault
		}
		all = append(all, newFaultWindow(s.source, s.markGroup, s.start, s.end, met))
	}
	slices.SortFunc(all, func(a, b FaultWindow) int {
		return cmp.Or(cmp.Compare(a.StartNS, b.StartNS), cmp.Compare(a.EndNS, b.EndNS), strings.Compare(a.WindowID, b.WindowID))
	})
	return all
}

var windowIDText = strings.NewReplacer("%", "%25", "/", "%2F")

func newFaultWindow(source string, g markGroup, start, end int64, m marks) FaultWindow {
	id := source
	for _, text := range []string{g.run, g.fault, g.target, g.experiment} {
		id += "/" + windowIDText.Replace(text)
	}
	w := FaultWindow{
		WindowID: id + "/" + strconv.FormatInt(start, 10), RunID: g.run, Fault: g.fault, StartNS: start, EndNS: end,
		StartUTC: *utc(start / 1e9), EndUTC: *utc(end / 1e9), Source: source, Requests: wholeSpans(m.requests),
	}
	spans := wholeSpans(m.spans)
	w.MarkedSpans, w.MarkedCategories = &spans, []string{}
	for c := range aggregator.NumCategories {
		if m.categories&(1<<c) != 0 {
			w.MarkedCategories = append(w.MarkedCategories, c.String())
		}
	}
	slices.Sort(w.MarkedCategories)
	if g.target != "" {
		w.Target = &g.target
	}
	if g.experiment != "" {
		w.ExperimentID = &g.experiment
	}
	return w
}

// wholeSpans rounds a weight in millionths.
func wholeSpans(micro int64) int64 { return (min(micro, math.MaxInt64-500_000) + 500_000) / 1_000_000 }

// eachRow calls scan for every row of a query.
func eachRow(ctx context.Context, tx *sql.Tx, query string, scan func(*sql.Rows) error) error {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("read fault windows: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("read fault windows: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read fault windows: %w", err)
	}
	return nil
}
