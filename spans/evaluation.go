package spans

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// verdicts says which labels accept and which reject, in lower case.
var verdicts = map[string]aggregator.Verdict{
	"accept": aggregator.VerdictAccepted, "accepted": aggregator.VerdictAccepted, "pass": aggregator.VerdictAccepted,
	"passed": aggregator.VerdictAccepted, "good": aggregator.VerdictAccepted, "positive": aggregator.VerdictAccepted,
	"thumbs_up": aggregator.VerdictAccepted, "thumbs-up": aggregator.VerdictAccepted,
	"correct": aggregator.VerdictAccepted, "yes": aggregator.VerdictAccepted, "true": aggregator.VerdictAccepted,
	"reject": aggregator.VerdictRejected, "rejected": aggregator.VerdictRejected, "fail": aggregator.VerdictRejected,
	"failed": aggregator.VerdictRejected, "bad": aggregator.VerdictRejected, "negative": aggregator.VerdictRejected,
	"thumbs_down": aggregator.VerdictRejected, "thumbs-down": aggregator.VerdictRejected,
	"incorrect": aggregator.VerdictRejected, "no": aggregator.VerdictRejected, "false": aggregator.VerdictRejected,
}

// The attributes of the event gen_ai.evaluation.result. Its explanation is
// content.
const (
	evaluationName  = "gen_ai.evaluation.name"
	evaluationLabel = "gen_ai.evaluation.score.label"
	evaluationScore = "gen_ai.evaluation.score.value"
)

// sourceEvent is the source of judgements that come as events, which do not
// say who judged.
const sourceEvent = "event"

// annotationPrefixes begin the attributes in which OpenInference numbers
// judgements.
var annotationPrefixes = []string{
	"annotations.", "evaluations.", "trace.annotations.", "trace.evaluations.", "session.annotations.",
	"session.evaluations.",
}

// maxAnnotations bounds the judgements of one span.
const maxAnnotations = 64

// annotationNames returns the attributes that a judgement with the given
// number has, for each prefix.
func annotationNames(number int) (names []string) {
	for _, prefix := range annotationPrefixes {
		for _, part := range []string{"name", "label", "score"} {
			names = append(names, annotationName(prefix, number, part))
		}
	}
	return names
}

func annotationName(prefix string, number int, part string) string {
	object := ".annotation."
	if strings.HasSuffix(prefix, "evaluations.") {
		object = ".evaluation."
	}
	return prefix + strconv.Itoa(number) + object + part
}

// readEvaluations reads judgements from events and numbered attributes.
func (w *walker) readEvaluations(span ptrace.Span) {
	r := &w.request
	for _, event := range span.Events().All() {
		if h := happeningOf(event); h == nil || h.kind != eventEvaluation {
			continue
		}
		e := evaluation(event.Attributes(), evaluationName, evaluationLabel, evaluationScore)
		e.Source = sourceEvent
		at, ok := w.instant(event.Timestamp())
		if !ok {
			at = w.observation.StartUnixNano
		}
		e.AtUnixNano = at
		r.Evaluations = append(r.Evaluations, e)
	}
	attributes := span.Attributes()
	for _, a := range annotationsOf(attributes) {
		e := evaluation(attributes, a.attribute("name"), a.attribute("label"), a.attribute("score"))
		if e == (aggregator.Evaluation{}) {
			continue
		}
		e.Source = w.lower(firstText(attributes, []string{a.attribute("annotator_kind")}))
		e.AtUnixNano = w.end()
		r.Evaluations = append(r.Evaluations, e)
	}
}

// annotation is a numbered judgement.
type annotation struct {
	prefix string // of annotationPrefixes
	number int
}

func (a annotation) attribute(part string) string { return annotationName(a.prefix, a.number, part) }

// annotationsOf returns the judgements that attributes hold, by prefix and
// number; at most maxAnnotations.
func annotationsOf(attributes pcommon.Map) []annotation {
	var found []annotation
	for name := range attributes.All() {
		if !strings.Contains(name, "ations.") { // most have none: a cheap way to tell
			continue
		}
		for _, prefix := range annotationPrefixes {
			rest, ok := strings.CutPrefix(name, prefix)
			if !ok {
				continue
			}
			a := annotation{prefix, int(numberBefore(rest, '.'))}
			if a.number >= 0 && !slices.Contains(found, a) && len(found) < maxAnnotations {
				found = append(found, a)
			}
		}
	}
	slices.SortFunc(found, func(a, b annotation) int {
		return cmp.Or(strings.Compare(a.prefix, b.prefix), cmp.Compare(a.number, b.number))
	})
	return found
}

func evaluation(attributes pcommon.Map, name, label, score string) aggregator.Evaluation {
	e := aggregator.Evaluation{Name: firstText(attributes, []string{name}), Label: firstText(attributes, []string{label})}
	e.Verdict = verdicts[strings.ToLower(e.Label)]
	if v, ok := attributes.Get(score); ok {
		switch v.Type() {
		case pcommon.ValueTypeDouble:
			e.Score = v.Double()
			e.Scored = !math.IsNaN(e.Score) && !math.IsInf(e.Score, 0)
		case pcommon.ValueTypeInt:
			e.Score, e.Scored = float64(v.Int()), true
		case pcommon.ValueTypeStr:
			n, err := strconv.ParseFloat(v.Str(), 64)
			e.Score, e.Scored = n, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
		}
		if !e.Scored {
			e.Score = 0
		}
	}
	return e
}

// firstText returns the first of some attributes that is a text, number or
// truth value.
func firstText(attributes pcommon.Map, names []string) string {
	for _, name := range names {
		if v, ok := attributes.Get(name); ok && usable(v) {
			return v.AsString()
		}
	}
	return ""
}
