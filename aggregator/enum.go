package aggregator

import "slices"

// Category says what sort of work a span is; exactly one holds for each.
type Category uint8

// The categories. Their order is part of nothing stored: files hold the names.
const (
	CategoryOther Category = iota
	CategoryLLM
	CategoryEmbedding
	CategoryRetrieval
	CategoryTool
	CategoryAgent
	CategoryWorkflow
	CategoryFault
	CategoryServer
	CategoryClient
	CategoryDatabase
	CategoryMessaging
	NumCategories
)

var categoryNames = [NumCategories]string{
	CategoryOther: "other", CategoryLLM: "llm", CategoryEmbedding: "embedding", CategoryRetrieval: "retrieval",
	CategoryTool: "tool", CategoryAgent: "agent", CategoryWorkflow: "workflow", CategoryFault: "fault",
	CategoryServer: "server", CategoryClient: "client", CategoryDatabase: "database", CategoryMessaging: "messaging",
}

// String returns the stored name.
func (c Category) String() string { return categoryNames[c] }

// CategoryNames are the stored names of the categories, in their order.
func CategoryNames() []string { return slices.Clone(categoryNames[:]) }

// ParseCategory is the inverse of String; false for an unknown name.
func ParseCategory(name string) (Category, bool) { return parse[Category](categoryNames[:], name) }

// Outcome says how a span ended; exactly one holds for each, so the counts of
// the ten outcomes add up to the count of spans.
type Outcome uint8

// The outcomes, in the order of the columns of timeseries.
const (
	OutcomeSuccess Outcome = iota
	OutcomeRateLimited
	OutcomeCapacityError
	OutcomeServerError
	OutcomeClientError
	OutcomeConnectionError
	OutcomeMalformed
	OutcomeCancelled
	OutcomeCircuitOpen
	OutcomeOtherError
	NumOutcomes
)

var outcomeNames = [NumOutcomes]string{
	OutcomeSuccess: "success", OutcomeRateLimited: "rate_limited", OutcomeCapacityError: "capacity_error",
	OutcomeServerError: "server_error", OutcomeClientError: "client_error", OutcomeConnectionError: "connection_error",
	OutcomeMalformed: "malformed", OutcomeCancelled: "cancelled", OutcomeCircuitOpen: "circuit_open",
	OutcomeOtherError: "other_error",
}

// String returns the stored name.
func (o Outcome) String() string { return outcomeNames[o] }

// OutcomeNames are the stored names of the outcomes, in their order.
func OutcomeNames() []string { return slices.Clone(outcomeNames[:]) }

// ParseOutcome is the inverse of String; false for an unknown name.
func ParseOutcome(name string) (Outcome, bool) { return parse[Outcome](outcomeNames[:], name) }

// Kind is the OpenTelemetry span kind.
type Kind uint8

// The span kinds, numbered as in OTLP.
const (
	KindUnspecified Kind = iota
	KindInternal
	KindServer
	KindClient
	KindProducer
	KindConsumer
	NumKinds
)

var kindNames = [NumKinds]string{
	KindUnspecified: "unspecified", KindInternal: "internal", KindServer: "server", KindClient: "client",
	KindProducer: "producer", KindConsumer: "consumer",
}

// String returns the stored name.
func (k Kind) String() string { return kindNames[k] }

// ParseKind is the inverse of String; false for an unknown name.
func ParseKind(name string) (Kind, bool) { return parse[Kind](kindNames[:], name) }

// Measure is what a histogram measures, in nanoseconds.
type Measure uint8

// The measures. NetDuration is the duration without the injected delay and is
// recorded only for spans that carry a fault; TimePerOutputToken is
// (duration - time to first token) / (output tokens - 1), rounded down.
const (
	MeasureDuration Measure = iota
	MeasureNetDuration
	MeasureTimeToFirstToken
	MeasureTimePerOutputToken
	NumMeasures
)

var measureNames = [NumMeasures]string{
	MeasureDuration: "duration", MeasureNetDuration: "net_duration",
	MeasureTimeToFirstToken: "time_to_first_token", MeasureTimePerOutputToken: "time_per_output_token",
}

// String returns the stored name.
func (m Measure) String() string { return measureNames[m] }

// ParseMeasure is the inverse of String; false for an unknown name.
func ParseMeasure(name string) (Measure, bool) { return parse[Measure](measureNames[:], name) }

func parse[E ~uint8](names []string, name string) (E, bool) {
	i := slices.Index(names, name)
	return E(max(i, 0)), i >= 0
}
