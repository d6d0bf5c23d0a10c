package spans

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// meaningless stands for a text that is none of those that mean something: it
// is no number, word, array, object or path, and like a URL it is no name.
const meaningless = "?"

// storedText returns a text as it is stored where it is too long, else as it
// is: what else is wrong with it is to be noted when it is read.
func storedText(text string) string {
	if isShort(text) {
		return text
	}
	text, _ = aggregator.CleanText(text)
	return text
}

// textIf returns a text where it means something.
func textIf(means bool, text string) string {
	if means {
		return text
	}
	return meaningless
}

// maxNumber is the length of the longest number that is left as it is written.
const maxNumber = 64

func numberAlone(text string) string {
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil {
		if len(text) <= maxNumber {
			return text
		}
		return strconv.FormatInt(n, 10)
	}
	d, err := strconv.ParseFloat(text, 64)
	if err == nil && len(text) > maxNumber {
		return strconv.FormatFloat(d, 'e', -1, 64) // no whole number, as the text is none
	}
	return textIf(err == nil, text)
}

func (v *vocabulary) wordAlone(text string) string {
	m, word := v.find(text)
	return textIf(m != nil, word)
}

func wordAlone(text string) string { return textIf(isWord(text), text) }

func firstWordAlone(text string) string { return wordAlone(firstElement(pcommon.NewValueStr(text))) }

func circuitStateAlone(text string) string {
	state := circuitState(text)
	return textIf(state != "", state)
}

func headerAlone(text string) string {
	if faultWord(text) == "" {
		return "none"
	}
	return meaningless
}

// messagesAlone returns an array of as many numbers as there are messages.
func messagesAlone(text string) string {
	n, ok := elements(text)
	switch {
	case !ok:
		return meaningless
	case n == 0:
		return "[]"
	default:
		return "[" + strings.Repeat("0,", int(n-1)) + "0]"
	}
}

// instantAlone returns a time of day.
func instantAlone(text string) string {
	at, err := time.Parse(time.RFC3339Nano, strings.Trim(text, `"`))
	at = at.UTC()
	return textIf(err == nil && 0 <= at.Year() && at.Year() <= 9999, at.Format(time.RFC3339Nano))
}

// knownFlags are the response flags that are read.
var knownFlags = func() []string {
	flags := []string{"DI", "FI"}
	for _, e := range envoyOutcomes {
		flags = append(flags, e.flag)
	}
	return flags
}()

// flagsAlone leaves those of Envoy's response flags that are read.
func flagsAlone(text string) string {
	if !isShort(text) {
		return meaningless
	}
	var flags []string
	for _, flag := range knownFlags {
		if hasFlag(text, flag) {
			flags = append(flags, flag)
		}
	}
	return textIf(len(flags) > 0, strings.Join(flags, ","))
}

// endpointAlone leaves of a URL the end that is a known API, and the
// deployment.
func endpointAlone(url string) string {
	path, kept, api := urlPath(url), "", ""
	for _, known := range apiPaths {
		if strings.HasSuffix(path, known.end) {
			api = known.stored
			break
		}
	}
	if _, rest, ok := strings.Cut(path, azureDeployments); ok {
		deployment, _, _ := strings.Cut(rest, "/")
		if !isShort(deployment) {
			deployment = strings.ToValidUTF8(deployment[:aggregator.MaxValueBytes], "")
		}
		kept = azureDeployments + deployment
		if api == "" {
			api = "/" // what comes before must not become the end
		}
	}
	return textIf(kept+api != "", kept+api)
}

func templateAlone(text string) string { return textIf(!isURL(text) && isShort(text), text) }

func addressAlone(text string) string {
	return textIf(!isURL(text) && !strings.ContainsAny(text, "/@") && isShort(text), text)
}

// isShort tells whether a text is stored whole. The hash of one that is not
// would make it a URL.
func isShort(text string) bool { return len(text) <= aggregator.MaxValueBytes }

// usageNames are the numbers that readUsageDetails asks for.
var usageNames = []string{
	"input", "input_tokens", "prompt_tokens", "output", "output_tokens", "completion_tokens", "cache_read_input_tokens",
	"input_cached_tokens", "input_cache_read", "prompt_tokens_details.cached_tokens", "input_tokens_details.cached_tokens",
	"cache_creation_input_tokens", "input_cache_creation", "output_reasoning_tokens", "output_reasoning",
	"completion_tokens_details.reasoning_tokens", "output_tokens_details.reasoning_tokens", "total",
}

func usageAlone(text string) string {
	numbers := numbersOf(text)
	for name := range numbers {
		if !slices.Contains(usageNames, name) {
			delete(numbers, name)
		}
	}
	return numbersText(numbers)
}

// costAlone leaves the total, which may be the sum of the parts.
func costAlone(text string) string {
	numbers := numbersOf(text)
	total, stated := totalCost(numbers)
	clear(numbers)
	if stated {
		// A sum may be too large for a number in JSON, and for a cost.
		numbers["total"] = min(math.MaxFloat64, max(-math.MaxFloat64, total))
	}
	return numbersText(numbers)
}

// numbersOf reads a JSON object of numbers as a walker does; nil for anything
// else.
func numbersOf(text string) map[string]float64 {
	var w walker
	w.span.ranks[fieldUsageDetails], w.span.values[fieldUsageDetails] = 1, pcommon.NewValueStr(text)
	return w.numbers(fieldUsageDetails)
}

func numbersText(numbers map[string]float64) string {
	text, err := json.Marshal(numbers)
	return textIf(numbers != nil && err == nil, string(text))
}
