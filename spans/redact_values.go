package spans

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// shown says what is left of an attribute's value. Its type stays, and whether
// it says anything: the next name of a field is asked where one says nothing.
type shown struct {
	// text returns what stands for a text that is not empty, and must not be
	// empty itself; nil: the text as it is stored.
	text func(string) string
	// elements puts into one array what stands for the elements of another;
	// nil: nothing.
	elements func(from, to pcommon.Slice)
}

// shownOf is what is left of the attributes of a field. Those that are not here
// are names, which are stored, or numbers in a text, which are.
var shownOf = func() (of [numFields]shown) {
	for _, f := range []field{
		fieldInputTokens, fieldOutputTokens, fieldCacheReadTokens, fieldCacheWriteTokens, fieldReasoningTokens, fieldCost,
		fieldTimeToFirstToken, fieldStatusCode, fieldResendCount, fieldAttempt, fieldFaultDelay, fieldFaultStatus,
	} {
		of[f].text = numberAlone
	}
	for f, word := range map[field]string{
		fieldErrorFlag: "true", fieldSuccess: "false", fieldLevel: "ERROR", fieldMessagingAnonymous: "true",
		fieldInjectorRole: roleInjector, fieldChaosActivity: "action",
	} {
		of[f].text = func(text string) string { return textIf(text == word, text) }
	}
	of[fieldChaosToolkit].text = func(string) string { return meaningless }
	of[fieldUsageDetails].text, of[fieldCostDetails].text = usageAlone, costAlone
	of[fieldFirstTokenTime].text = instantAlone
	of[fieldResponseFlags].text = flagsAlone
	of[fieldDecision].text, of[fieldCircuitState].text = wordAlone, circuitStateAlone
	of[fieldURL].text, of[fieldURLTemplate].text, of[fieldServerAddress].text = endpointAlone, templateAlone, addressAlone
	of[fieldRunConfig].text = func(text string) string { return textIf(len(text) <= maxConfigBytes, text) }
	for _, f := range []field{fieldFaultHeaderDelay, fieldFaultHeaderAbort} {
		of[f] = shown{headerAlone, func(from, to pcommon.Slice) {
			if from.Len() > 0 {
				to.AppendEmpty()
			}
		}}
	}
	of[fieldMessages] = shown{messagesAlone, func(from, to pcommon.Slice) {
		to.EnsureCapacity(from.Len())
		for range from.Len() {
			to.AppendEmpty()
		}
	}}
	of[fieldFinishReason] = shown{firstWordAlone, func(from, to pcommon.Slice) {
		if from.Len() > 0 && isWord(from.At(0).Str()) {
			to.AppendEmpty().SetStr(from.At(0).Str())
		}
	}}
	return of
}()

// maxConfigBytes is the length of the longest description of a run that is
// stored.
const maxConfigBytes = 64 << 10

// isName tells whether a target is a name that is stored: the first usable
// attribute counts, and no other is asked.
func isName(t target) bool {
	f := field(t.slot)
	return f >= numFields || f != fieldOperation && f != fieldAnnotated && shownOf[f].text == nil
}

// firstAnnotation are the sources of fieldAnnotated, by rank-1.
var firstAnnotation = annotationNames(0)

// shown returns what is left of an attribute with these targets. One that is a
// name for any of them, or something else for two, is shown as a name.
func (ix *index) shown(targets []target) (s shown) {
	for i, t := range targets {
		var one shown
		switch f := field(t.slot); {
		case f >= numFields: // a configured dimension
		case f == fieldOperation && t.rank > 1: // an unknown word counts only in the first
			one.text = ix.vocabularies[t.rank-1].wordAlone
		case f == fieldAnnotated && strings.HasSuffix(firstAnnotation[t.rank-1], ".score"):
			one.text = numberAlone
		default:
			one = shownOf[f]
		}
		if i == 0 {
			s.text = one.text
		} else {
			s.text = nil
		}
		if one.elements != nil {
			s.elements = one.elements
		}
	}
	return s
}

// keepAs puts what is left of a value into a map. Where the name stands there,
// the first usable value stays.
func keepAs(to pcommon.Map, name string, from pcommon.Value, as shown) {
	value, known := to.GetOrPutEmpty(name)
	if known && (usable(value) || !usable(from)) {
		return
	}
	switch from.Type() {
	case pcommon.ValueTypeStr:
		switch text := from.Str(); {
		case text == "":
			value.SetStr("")
		case as.text != nil:
			value.SetStr(as.text(text))
		default:
			value.SetStr(storedText(text))
		}
	case pcommon.ValueTypeInt:
		value.SetInt(from.Int())
	case pcommon.ValueTypeDouble:
		value.SetDouble(from.Double())
	case pcommon.ValueTypeBool:
		value.SetBool(from.Bool())
	case pcommon.ValueTypeBytes:
		value.SetEmptyBytes()
	case pcommon.ValueTypeMap:
		value.SetEmptyMap()
	case pcommon.ValueTypeSlice:
		slice := value.SetEmptySlice()
		if as.elements != nil {
			as.elements(from.Slice(), slice)
		}
	case pcommon.ValueTypeEmpty:
	}
}
