package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// SLOs is the answer to: are the service level objectives met?
type SLOs struct {
	// Scope is what the counts of each objective cover. Its categories are
	// empty for every objective.
	Scope
	// BurnEndUTC is where the windows of all burn rates end: with the newest
	// data that has settled; nil where there is none.
	BurnEndUTC *string `json:"burn_end_utc"`
	// Rows are by name; of one name, those that are configured first. An
	// objective that is no longer configured is here where it counted a request
	// in the interval or a window.
	Rows []SLO `json:"objectives"`
}

// SLO says how an objective fares. What counts was decided when the spans came
// in, one by one: the numbers are exact.
type SLO struct {
	Name     string `json:"name"`
	Category string `json:"category"`
	// Service, Operation and Model are nil for any.
	Service   *string `json:"service"`
	Operation *string `json:"operation"`
	Model     *string `json:"model"`
	// LatencyMS is the longest duration of a good request; nil: any.
	LatencyMS *float64 `json:"latency_ms"`
	Objective float64  `json:"objective"` // the share of good requests that is aimed at
	// Configured: the last collector that opened the file counts for it.
	Configured bool `json:"configured"`
	// CountedFromUTC is where counting begins to be complete, as it was
	// configured later than the file began; nil: it always was.
	CountedFromUTC *string `json:"counted_from_utc"`

	Good  int64 `json:"good"`
	Total int64 `json:"total"` // cancelled requests are left out
	// GoodShare is nil without requests, as the others are.
	GoodShare *float64 `json:"good_share"`
	Met       *bool    `json:"met"` // the share is the objective, or more
	// BudgetSpent is the share of the requests that may fail, by the objective,
	// that did: more than 1 where it is missed.
	BudgetSpent *float64 `json:"error_budget_spent"`

	// Burn holds one rate for each of BurnWindows.
	Burn []BurnRate `json:"burn_rates"`
	// Alert is the name of the shortest window whose rate is at its threshold or
	// above; nil: none is.
	Alert *string `json:"alert"`
}

// BurnWindow is a time over which a burn rate is taken.
type BurnWindow struct {
	Name    string
	Seconds int64
	// ThresholdTenths is the rate from which on it is an alert, in tenths; 0: it
	// never is.
	ThresholdTenths int64
}

// BurnWindows are those of every objective, with the thresholds that Google's
// Site Reliability Workbook (chapter 5, "Alerting on SLOs") gives for a budget of
// 30 days: 2 % of it spent in an hour, 5 % in six, 10 % in three days.
var BurnWindows = []BurnWindow{
	{"1h", 3600, 144}, {"6h", 6 * 3600, 60}, {"3d", 3 * 86400, 10}, {"30d", 30 * 86400, 0},
}

// BurnRate is how fast the error budget is spent: (1 - good/total) divided by
// (1 - objective). At 1 it lasts exactly as long as the objective is for.
type BurnRate struct {
	Window  string `json:"window"`
	WindowS int64  `json:"window_s"`
	// FromUTC is where the window begins.
	FromUTC string `json:"from_utc"`
	Good    int64  `json:"good"`
	Total   int64  `json:"total"`
	// Rate is nil where the window has no request.
	Rate *float64 `json:"burn_rate"`
	// Covered is the share of the window of which the file has all requests
	// counted: less than 1 where it, or the objective, began later, or buckets
	// have left.
	Covered float64 `json:"covered"`
	// Threshold is the rate from which on it is an alert; nil: it never is.
	Threshold *float64 `json:"threshold"`
	Alert     bool     `json:"alert"`
}

// AskSLOs answers for all objectives of a file, or those of q.Categories. A file
// without has no rows; of a schema without objectives it returns
// storage.ErrOlder. It reads no histograms.
func AskSLOs(ctx context.Context, tx *sql.Tx, q Query) (*SLOs, error) {
	answer, err := askSLOs(ctx, tx, q)
	if err != nil {
		return nil, fmt.Errorf("slos: %w", err)
	}
	return answer, nil
}

func askSLOs(ctx context.Context, tx *sql.Tx, q Query) (*SLOs, error) {
	const firstWithObjectives = 6 // schema
	if err := storage.CheckSchema(ctx, tx, firstWithObjectives); err != nil {
		return nil, err
	}
	r, err := newReading(ctx, tx, q, false)
	if err != nil {
		return nil, err
	}
	if err := r.choose(ctx, tx, q.Categories); err != nil {
		return nil, err
	}
	answer := &SLOs{Scope: r.scope, Rows: []SLO{}}
	objectives, err := storage.ReadObjectives(ctx, tx)
	if err != nil {
		return nil, err
	}
	objectives = slices.DeleteFunc(objectives, func(s storage.StoredObjective) bool {
		return len(q.Categories) > 0 && !slices.Contains(q.Categories, s.Category)
	})
	if len(objectives) == 0 {
		return answer, nil
	}
	b := burning{reading: r}
	if err := b.read(ctx, tx, objectives); err != nil {
		return nil, err
	}
	if b.any {
		answer.BurnEndUTC = utc(b.end)
	}
	for i := range objectives {
		if s := b.slo(&objectives[i]); s.Configured || s.seen() {
			answer.Rows = append(answer.Rows, s)
		}
	}
	return answer, nil
}

// seen tells whether a request counts towards it.
func (s *SLO) seen() bool {
	return s.Total > 0 || slices.ContainsFunc(s.Burn, func(b BurnRate) bool { return b.Total > 0 })
}

// slo brings together what is known of an objective.
func (b *burning) slo(j *storage.StoredObjective) SLO {
	n := b.counts[j.ID]
	s := SLO{
		Name: j.Name, Category: j.Category.String(), Service: textOrNil(j.Service), Operation: textOrNil(j.Operation), Model: textOrNil(j.Model),
		Objective: float64(j.TargetNano) / 1e9, Configured: j.Configured, Good: n.Good, Total: n.Total, GoodShare: share(n.Good, n.Total),
		Burn: []BurnRate{},
	}
	if j.LatencyNano > 0 {
		latency := milliseconds(j.LatencyNano)
		s.LatencyMS = &latency
	}
	if j.CompleteFromUnix > 0 {
		s.CountedFromUTC = utc(j.CompleteFromUnix)
	}
	if n.Total > 0 {
		met := compareBurn(n, j.TargetNano, 10) <= 0
		s.Met, s.BudgetSpent = &met, burnRate(n, j.TargetNano)
	}
	for i, w := range BurnWindows {
		if b.any {
			s.addBurn(w, b.windows[i][j.ID], j, b)
		}
	}
	return s
}

func (s *SLO) addBurn(w BurnWindow, n aggregator.ObjectiveCount, j *storage.StoredObjective, b *burning) {
	from := b.end - w.Seconds
	rate := BurnRate{
		Window: w.Name, WindowS: w.Seconds, FromUTC: time.Unix(from, 0).UTC().Format("2006-01-02T15:04:05Z"), Good: n.Good, Total: n.Total,
		Rate:    burnRate(n, j.TargetNano),
		Covered: float64(max(0, b.end-max(from, b.reach, j.CompleteFromUnix))) / float64(w.Seconds),
	}
	if w.ThresholdTenths > 0 {
		threshold := float64(w.ThresholdTenths) / 10
		rate.Threshold = &threshold
		rate.Alert = n.Total > 0 && compareBurn(n, j.TargetNano, w.ThresholdTenths) >= 0
	}
	if rate.Alert && s.Alert == nil {
		s.Alert = &w.Name
	}
	s.Burn = append(s.Burn, rate)
}

func textOrNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// HasRequests tells whether a request of the interval counts towards some
// objective.
func (a *SLOs) HasRequests() bool {
	return slices.ContainsFunc(a.Rows, func(s SLO) bool { return s.Total > 0 })
}
