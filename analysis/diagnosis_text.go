package analysis

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxDiagnosis is how many characters a paragraph has at most.
const maxDiagnosis = 600

// paragraph says it in words; what matters most comes first, and what does not
// fit is left out.
func (d *diagnosing) paragraph() string {
	if d.Requests == 0 {
		if n := d.Open.Requests; n > 0 {
			return fmt.Sprintf("No requests have settled in this interval; %s in buckets that are still open.", counted(n, "is", "are"))
		}
		return "No requests in this interval."
	}
	text := ""
	for _, sentence := range []string{
		d.headlineText(), d.errorsText(), d.refusedText(), d.faultsText(), d.anomaliesText(),
	} {
		if sentence == "" {
			continue
		}
		if longer := strings.TrimSpace(text + " " + sentence); utf8.RuneCountInString(longer) <= maxDiagnosis {
			text = longer
		}
	}
	return text
}

func (d *diagnosing) headlineText() string {
	t := d.fine
	text := fmt.Sprintf("%s in %s: %s succeeded", counted(d.Requests, "request", "requests"),
		lasting(t.at(t.last+1)-t.at(t.first)), percentText(*d.SuccessShare))
	if d.P95MS != nil {
		text += ", p95 " + figure(*d.P95MS) + " ms"
	}
	return text + "."
}

func (d *diagnosing) errorsText() string {
	var parts []string
	for _, e := range d.TopErrors {
		// The kind of an outcome is not the outcome: there may be more of it.
		kind := e.Outcome
		if e.ErrorType != "" && e.ErrorType != e.Outcome {
			kind = e.ErrorType + " (" + e.Outcome + ")"
		}
		parts = append(parts, thousands(e.Count)+" × "+shortened(kind, 40))
	}
	if len(parts) == 0 {
		return ""
	}
	return "Most errors: " + strings.Join(parts, ", ") + "."
}

func (d *diagnosing) refusedText() string {
	if *d.RefusedShare == 0 {
		return ""
	}
	text := percentText(*d.RefusedShare) + " were refused"
	if n := d.bursts.Count; n > 0 {
		text += ", in " + counted(int64(n), "burst", "bursts")
	}
	switch a := d.AIMD; {
	case d.bursts.StillOpen > 0:
		text += ", the last one still active when the data ended"
	case a.MaxRecoveryS != nil && *a.MaxRecoveryS == 0:
		text += ", over at once"
	case a.MaxRecoveryS != nil:
		text += ", over after " + lasting(*a.MaxRecoveryS)
		if a.Recovered > 1 {
			text += " at most"
		}
	}
	if a := d.AIMD; a.Backoff != "" {
		text += "; back-off looks " + a.Backoff
		if a.Trend == TrendImproving {
			text += " and improving"
		}
	}
	return text + "."
}

func (d *diagnosing) anomaliesText() string {
	var worst *Anomaly
	n := int64(0)
	for i := range d.anomalies.Rows {
		a := &d.anomalies.Rows[i]
		if a.Expected || d.isBurst(a) {
			continue
		}
		n++
		if worst == nil || severityRank(a.Severity) > severityRank(worst.Severity) {
			worst = a
		}
	}
	if worst == nil {
		return ""
	}
	return fmt.Sprintf("%s at %s: %s", counted(n, "anomaly", "anomalies, the worst"), worst.StartUTC, shortened(worst.Text, 160))
}

// isBurst tells whether an anomaly is what a burst of refused requests, of which
// the paragraph has told already, looks like from another side.
func (d *diagnosing) isBurst(a *Anomaly) bool {
	switch a.Kind {
	case AnomalyErrorCluster, AnomalyThroughputCliff, AnomalyZeroSuccess:
		return slices.ContainsFunc(d.bursts.Rows, func(b Burst) bool { return b.Start < a.End && b.End > a.Start })
	}
	return false
}

func severityRank(severity string) int {
	return map[string]int{SeverityMedium: 1, SeverityHigh: 2}[severity]
}
