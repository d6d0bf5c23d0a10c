package aggregator

// Request is one span as it is kept by itself: its observation, and what shows
// only in single rows. The strings may share memory with the batch they were
// read from; the zero value of each field means that the span does not say.
type Request struct {
	Observation
	// Known tells which numbers the span gives, so that a 0 it states differs
	// from one it does not.
	Known        Fact
	ParentSpanID [8]byte
	Role         Role
	// Instance is the service instance, or host and process. Circuit breakers
	// are its own.
	Instance string
	SpanName string
	// ResponseModel is the model that answered.
	ResponseModel string
	Deployment    string
	Endpoint      string
	Phase         string // of an experiment, as the span states it
	FinishReason  string
	StatusCode    int64
	MessageCount  int64 // messages of the prompt
	ToolCallID    string
	// Decision on a tool call: accept, reject, auto or modify. Others are not
	// stored.
	Decision       string
	DecisionSource string
	// InjectedDelayNano is how long an injected fault held the span up.
	InjectedDelayNano int64
	ExperimentID      string
	// Target is what the injected fault was aimed at.
	Target string
	// Circuit is the circuit breaker the call went through.
	Circuit string

	// What the span tells besides; the slices are valid as long as the
	// Request. Their order does not matter.
	Circuits    []CircuitState
	Evaluations []Evaluation
	Window      *FaultWindow // set on a span of a fault injector
	TestCase    TestCase     // set on the span of a test, whose name is not empty
	RunFacts    RunFacts
}

// Fact is a set of numbers that a span states.
type Fact uint16

// The facts.
const (
	FactInputTokens Fact = 1 << iota
	FactOutputTokens
	FactCacheReadTokens
	FactCacheWriteTokens
	FactReasoningTokens
	FactResends
	FactStatusCode
	FactMessageCount
	FactInjectedDelay
)

// Role is the part a span plays in a session. Its numbers are stored.
type Role uint8

// The roles. A tool call as a whole contains the wait for a human and the run
// of the tool, where instrumentation has spans of their own for these.
const (
	RoleNone Role = iota
	RoleTurn
	RoleToolCall
	RoleToolRun
	RoleToolWait
)

// The states of a circuit breaker, as they are stored.
const (
	CircuitClosed   = "closed"
	CircuitOpen     = "open"
	CircuitHalfOpen = "half_open"
)

// CircuitState is one sighting of a circuit breaker.
type CircuitState struct {
	Circuit    string
	AtUnixNano int64
	State      string
	From       string // the state before, where it is said; else empty
}

// Evaluation is a judgement of what a span produced.
type Evaluation struct {
	AtUnixNano int64
	Name       string
	Label      string
	Score      float64
	Scored     bool // Score is given
	Verdict    Verdict
	Source     string // who judged, such as human or llm
}

// Verdict is what the label of an evaluation says.
type Verdict uint8

// The verdicts.
const (
	VerdictNone Verdict = iota
	VerdictAccepted
	VerdictRejected
)

// TestCase is the result of a test that a span tells of. It began and took as
// long as the span, and its error is that of the span.
type TestCase struct {
	Name     string
	Suite    string
	Passed   bool
	Expected string // the rule by which it passes
	Actual   string // what was seen
}

// FaultWindow is an interval in which a fault was being injected.
type FaultWindow struct {
	Run          string // empty: any
	Fault        string
	Target       string
	ExperimentID string
	// StartUnixNano and EndUnixNano are nanoseconds since the Unix epoch; the
	// interval is half-open.
	StartUnixNano int64
	EndUnixNano   int64
}

// RunFacts is what a span and its resource say of their test run.
type RunFacts struct {
	Name, Mode, Profile, Preset string
	ConfigJSON                  string // a JSON object
	AttributesJSON              string // a JSON object of what describes the environment
}
