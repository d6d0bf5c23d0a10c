package analysis

import (
	"fmt"
	"slices"
	"strings"
)

// FaultSummary is the answer about the impact of faults in short: with the same
// faults and figures.
type FaultSummary struct {
	// Faults counts those that requests met, Unmet the others.
	Faults int64 `json:"faults"`
	Unmet  int64 `json:"unmet"`
	// Names are those of the faults that requests met, each once, ascending.
	Names []string `json:"names"`
	// Recovered, NotRecovered and Unknown count the faults that are looked at:
	// the 100 longest.
	Recovered    int64 `json:"recovered"`
	NotRecovered int64 `json:"not_recovered"`
	Unknown      int64 `json:"recovery_unknown"`
	// Worst is the one that failed most requests more than before, else the one
	// that slowed them down most; where there is but one, this. nil where none
	// did either.
	Worst *FaultEffect `json:"worst"`
}

// FaultEffect is what one fault did.
type FaultEffect struct {
	Fault     string  `json:"fault"`
	StartUTC  string  `json:"start_utc"`
	DurationS float64 `json:"duration_s"`
	// Throughout: there is no time without it.
	Throughout bool     `json:"throughout"`
	During     *float64 `json:"error_rate_during"`
	Before     *float64 `json:"error_rate_before"`
	P95During  *float64 `json:"p95_latency_ms_during"`
	P95Before  *float64 `json:"p95_latency_ms_before"`
	Recovery   string   `json:"recovery"`
	RecoveryS  *float64 `json:"recovery_s"` // nil unless recovered
}

// summary sums the answer up; nil without faults.
func (answer *FaultImpact) summary() *FaultSummary {
	if answer == nil || len(answer.Rows)+len(answer.Unmet) == 0 {
		return nil
	}
	s := &FaultSummary{Faults: int64(len(answer.Rows)) + answer.Left, Unmet: int64(len(answer.Unmet)) + answer.UnmetLeft, Names: []string{}}
	for i := range answer.Rows {
		f := &answer.Rows[i]
		s.Names = append(s.Names, f.Fault)
		*map[string]*int64{Recovered: &s.Recovered, NotRecovered: &s.NotRecovered, RecoveryUnknown: &s.Unknown}[f.Recovery]++
	}
	slices.Sort(s.Names)
	s.Names = slices.Compact(s.Names)
	worst := answer.Worst()
	if len(answer.Rows) == 1 {
		worst = 0
	}
	if worst >= 0 {
		f := &answer.Rows[worst]
		s.Worst = &FaultEffect{
			Fault: f.Fault, StartUTC: f.StartUTC, DurationS: f.DurationS, Throughout: f.Throughout, During: f.During.ErrorRate, Before: f.Before.ErrorRate,
			P95During: f.During.Latency.P95MS, P95Before: f.Before.Latency.P95MS, Recovery: f.Recovery, RecoveryS: f.RecoveryS,
		}
	}
	return s
}

func (d *diagnosing) faultsText() string {
	s := d.Faults
	if s == nil {
		return ""
	}
	if s.Faults == 0 {
		return counted(s.Unmet, "fault, which no request met.", "faults, which no request met.")
	}
	text := fmt.Sprintf("%s (%s)", counted(s.Faults, "fault", "faults"), shortened(strings.Join(s.Names, ", "), 60))
	w := s.Worst
	if s.Faults > 1 {
		looked, of := s.Recovered+s.NotRecovered+s.Unknown, ", "
		if looked < s.Faults {
			of = fmt.Sprintf(", of the %s longest ", thousands(looked))
		}
		if s.Recovered > 0 {
			text += fmt.Sprintf("%s%s recovered from", of, thousands(s.Recovered))
			of = ", "
		}
		if s.NotRecovered > 0 {
			text += fmt.Sprintf("%s%s not recovered from", of, thousands(s.NotRecovered))
		}
		if w == nil {
			return text + "."
		}
		text += fmt.Sprintf("; the worst, %s at %s", shortened(w.Fault, 30), w.StartUTC)
	}
	return text + ": " + w.text() + "."
}

// text says what a fault did.
func (w *FaultEffect) text() string {
	if w.Throughout {
		return "there all the time"
	}
	var parts []string
	if w.During != nil {
		parts = append(parts, percentText(*w.During)+" of requests failed"+withBefore(w.Before, percentText))
	}
	if w.P95During != nil {
		parts = append(parts, "p95 "+figure(*w.P95During)+" ms"+withBefore(w.P95Before, figure))
	}
	switch {
	case w.RecoveryS != nil && *w.RecoveryS == 0:
		parts = append(parts, "recovered at once")
	case w.RecoveryS != nil:
		parts = append(parts, "recovered in "+lastingExactly(*w.RecoveryS))
	case w.Recovery == NotRecovered:
		parts = append(parts, "not recovered")
	default:
		parts = append(parts, "recovery not known")
	}
	return strings.Join(parts, ", ")
}

func withBefore(before *float64, write func(float64) string) string {
	if before == nil {
		return ""
	}
	return " (before: " + write(*before) + ")"
}
