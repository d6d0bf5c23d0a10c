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
		parts = append(parts, fmt.Sprintf("%s of %s", thousands(e.Count), shortened(errorKind{e.Outcome, e.ErrorType}.String(), 40)))
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
		text += ", with recovery at once"
	case a.MaxRecoveryS != nil:
		text += ", recovery took " + lasting(*a.MaxRecoveryS) + " at most"
	}
	text += "; back-off looks " + d.AIMD.Backoff
	if d.AIMD.Trend == TrendImproving {
		text += " and improving"
	}
	return text + "."
}

func (d *diagnosing) faultsText() string {
	s := d.Faults
	if s == nil {
		return ""
	}
	text := fmt.Sprintf("%s (%s)", counted(int64(s.Windows), "fault window", "fault windows"), shortened(strings.Join(s.Names, ", "), 60))
	if s.SuccessInside != nil && s.SuccessOutside != nil {
		text += fmt.Sprintf(": %s succeeded inside, %s outside", percentText(*s.SuccessInside), percentText(*s.SuccessOutside))
		if s.RecoveryS != nil && *s.RecoveryS == 0 {
			text += ", success back at once"
		} else if s.RecoveryS != nil {
			text += ", success back " + lasting(*s.RecoveryS) + " after the last"
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
