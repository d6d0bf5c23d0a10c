package aggregator

// Observation is what one span says, read once. The strings may share memory
// with the batch they were read from.
type Observation struct {
	Series Series
	// StartUnixNano and EndUnixNano are nanoseconds since the Unix epoch.
	// EndUnixNano is 0 where the span has no usable duration.
	StartUnixNano int64
	EndUnixNano   int64
	TraceID       [16]byte // all zero: none
	SpanID        [8]byte  // all zero: none
	// Session is the conversation the span belongs to; empty for none.
	Session string
	// Details tells what the span says that counters cannot hold. A Request
	// has it.
	Details Details

	values  [NumMeasures]int64
	present measureSet // which of values were set

	// Usage tells whether the span counts tokens; the token figures are 0
	// without it. InputTokens includes the cached ones, OutputTokens the
	// reasoning ones.
	Usage            bool
	InputTokens      int64
	OutputTokens     int64
	CacheReadTokens  int64
	CacheWriteTokens int64
	ReasoningTokens  int64
	// Priced tells whether CostNanoUSD, in 1e-9 US dollars, is known.
	Priced      bool
	CostNanoUSD int64
	// Resends is how often the request had been sent before, 0 for the first
	// time.
	Resends int64
	// AdjustedMicro is how many spans this one stands for under sampling, in
	// millionths: 1,000,000 where nothing says otherwise.
	AdjustedMicro int64

	Notes    Note
	Rejected Rejection // NotRejected: the span is to be folded
}

// Details is a set of what a span may say besides numbers.
type Details uint8

// The details: the part that a span plays in a session or tool call; and a
// fault, a circuit, an evaluation or the description of a run.
const (
	DetailsOfSession Details = 1 << iota
	DetailsOfEvents
)

// SetMeasure records a value in nanoseconds; it must not be negative.
func (o *Observation) SetMeasure(m Measure, nanoseconds int64) {
	o.values[m] = nanoseconds
	o.present |= 1 << m
}

// Measure returns the value in nanoseconds, and false where the span has none.
func (o *Observation) Measure(m Measure) (int64, bool) {
	return o.values[m], o.present&(1<<m) != 0
}

// DeriveNetDuration records the duration without an injected delay, for a span
// that carries a fault and has its duration. It returns false, and records
// nothing, where the delay is longer than the span.
func (o *Observation) DeriveNetDuration(delayNano int64) bool {
	duration, usable := o.Measure(MeasureDuration)
	if usable && delayNano <= duration {
		o.SetMeasure(MeasureNetDuration, duration-delayNano)
	}
	return !usable || delayNano <= duration
}

// DeriveTimePerOutputToken records what follows from the time to first token,
// the duration and the output tokens: where there are at least two, and the
// duration is not shorter than the time to the first of them.
func (o *Observation) DeriveTimePerOutputToken() {
	ttft, timed := o.Measure(MeasureTimeToFirstToken)
	duration, usable := o.Measure(MeasureDuration)
	if timed && usable && o.OutputTokens >= 2 && duration >= ttft {
		o.SetMeasure(MeasureTimePerOutputToken, (duration-ttft)/(o.OutputTokens-1))
	}
}
