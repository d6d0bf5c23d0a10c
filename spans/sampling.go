package spans

import (
	"math"
	"math/bits"
	"strings"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// onceMicro is the adjusted count of a span that stands for itself alone.
const onceMicro = 1_000_000

// adjustedMicro returns how many spans one stands for, in millionths, by the
// sampling threshold in its W3C trace state (ot=th:…): with T the threshold,
// the adjusted count is 2^56 / (2^56 - T). A trace state that does not parse is
// noted and stands for one span; a count above an int64 rejects the span.
//
// See https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/
func (w *walker) adjustedMicro(traceState string) int64 {
	if !strings.Contains(traceState, "ot=") {
		return onceMicro
	}
	state, err := sampling.NewW3CTraceState(traceState)
	if err != nil {
		w.observation.Notes |= aggregator.NoteInvalidTraceState
		return onceMicro
	}
	threshold, sampled := state.OTelValue().TValueThreshold()
	if !sampled {
		return onceMicro
	}
	accepted := sampling.MaxAdjustedCount - threshold.Unsigned()
	hi, lo := bits.Mul64(sampling.MaxAdjustedCount, onceMicro)
	lo, carry := bits.Add64(lo, accepted/2, 0) // round to the nearest
	hi += carry
	if hi >= accepted {
		w.observation.Rejected = aggregator.RejectedOverflow
		return 0
	}
	micro, _ := bits.Div64(hi, lo, accepted)
	if micro > math.MaxInt64 {
		w.observation.Rejected = aggregator.RejectedOverflow
		return 0
	}
	return int64(micro)
}
