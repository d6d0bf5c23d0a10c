package spans

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// field is something that is read from attributes.
type field uint8

const (
	fieldService field = iota
	fieldRun
	fieldOperation
	fieldProvider
	fieldModel
	fieldInputTokens
	fieldOutputTokens
	fieldCacheReadTokens
	fieldCacheWriteTokens
	fieldReasoningTokens
	fieldTimeToFirstChunk
	fieldSession
	fieldTool
	fieldAgent
	fieldStatusCode
	fieldErrorType
	fieldResendCount
	fieldMCPMethod
	fieldHTTPMethod
	fieldHTTPRoute
	fieldRPCService
	fieldRPCMethod
	fieldDBSystem
	fieldDBOperation
	fieldDBCollection
	fieldMessagingSystem
	numFields
)

// scope says on which level a field is looked for.
type scope uint8

const (
	onSpan scope = iota
	onResource
	onSpanThenResource
)

// sources lists where each field is read from: of the attributes present, the
// first in the list counts. To teach the reader another dialect, add its names
// here, behind those that should win over them.
//
// Names: OpenTelemetry semantic conventions (general 1.41, GenAI
// 1.42.0-dev), unless a comment says otherwise.
var sources = []struct {
	field      field
	scope      scope
	attributes []string
}{
	{fieldService, onResource, []string{"service.name"}},
	{fieldRun, onSpanThenResource, []string{
		"chaos.run.id", "test.run.id", // private names
		"k6.test_run_id", // k6
		"cicd.pipeline.run.id",
	}},
	{fieldOperation, onSpan, []string{"gen_ai.operation.name"}},
	{fieldProvider, onSpan, []string{"gen_ai.provider.name"}},
	// The model that was asked for: a call that failed knows no other, and a
	// model's failures belong beside its successes.
	{fieldModel, onSpan, []string{"gen_ai.request.model", "gen_ai.response.model"}},
	{fieldInputTokens, onSpan, []string{"gen_ai.usage.input_tokens"}},
	{fieldOutputTokens, onSpan, []string{"gen_ai.usage.output_tokens"}},
	{fieldCacheReadTokens, onSpan, []string{"gen_ai.usage.cache_read.input_tokens"}},
	{fieldCacheWriteTokens, onSpan, []string{
		"gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens",
	}},
	{fieldReasoningTokens, onSpan, []string{"gen_ai.usage.reasoning.output_tokens"}},
	{fieldTimeToFirstChunk, onSpan, []string{"gen_ai.response.time_to_first_chunk"}},
	{fieldSession, onSpan, []string{"gen_ai.conversation.id"}},
	{fieldTool, onSpan, []string{"gen_ai.tool.name"}},
	{fieldAgent, onSpan, []string{"gen_ai.agent.name"}},
	{fieldStatusCode, onSpan, []string{"http.response.status_code"}},
	{fieldErrorType, onSpan, []string{"error.type"}},
	{fieldResendCount, onSpan, []string{"http.request.resend_count"}},
	{fieldMCPMethod, onSpan, []string{"mcp.method.name"}},
	{fieldHTTPMethod, onSpan, []string{"http.request.method"}},
	{fieldHTTPRoute, onSpan, []string{"http.route"}},
	{fieldRPCService, onSpan, []string{"rpc.service"}},
	{fieldRPCMethod, onSpan, []string{"rpc.method"}},
	{fieldDBSystem, onSpan, []string{"db.system.name"}},
	{fieldDBOperation, onSpan, []string{"db.operation.name"}},
	{fieldDBCollection, onSpan, []string{"db.collection.name"}},
	{fieldMessagingSystem, onSpan, []string{"messaging.system"}},
}

// index finds what attributes feed, on spans and on resources.
type index struct {
	span     nameTable[[]target]
	resource nameTable[[]target]
	slots    int
}

func newIndex(dimensions []Dimension) *index {
	ix := &index{slots: int(numFields) + len(dimensions)}
	for _, s := range sources {
		for i, name := range s.attributes {
			ix.add(s.scope, name, target{uint8(s.field), uint8(i + 1)})
		}
	}
	for i, d := range dimensions {
		ix.add(onSpanThenResource, d.Name, target{uint8(int(numFields) + i), 1})
	}
	return ix
}

func (ix *index) add(s scope, name string, t target) {
	if s != onResource {
		targets := ix.span.add(name)
		*targets = append(*targets, t)
	}
	if s != onSpan {
		targets := ix.resource.add(name)
		*targets = append(*targets, t)
	}
}

// record holds the attribute values found on one span or resource.
type record struct {
	values     []pcommon.Value
	ranks      []uint8 // 0: nothing found
	attributes pcommon.Map
	names      *nameTable[[]target]
}

func newRecord(slots int) record {
	return record{values: make([]pcommon.Value, slots), ranks: make([]uint8, slots)}
}

// read takes what the attributes say of the fields. An attribute that stands
// twice counts as its first usable value.
func (r *record) read(attributes pcommon.Map, names *nameTable[[]target]) {
	clear(r.ranks)
	r.attributes, r.names = attributes, names
	for name, value := range attributes.All() {
		targets := names.find(name)
		if targets == nil {
			continue
		}
		for _, t := range *targets {
			if found := r.ranks[t.slot]; found == 0 || t.rank < found {
				r.ranks[t.slot] = t.rank
				r.values[t.slot] = value
			}
		}
	}
}

// release forgets everything that belongs to a batch.
func (r *record) release() {
	clear(r.values)
	clear(r.ranks)
	r.attributes = pcommon.Map{}
}

func (r *record) has(slot uint8) bool { return r.ranks[slot] != 0 }

// usable tells whether a value says anything that a field can hold.
func usable(value pcommon.Value) bool {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return value.Str() != ""
	case pcommon.ValueTypeInt, pcommon.ValueTypeDouble, pcommon.ValueTypeBool:
		return true
	default:
		return false
	}
}

// settle replaces a value that is not usable by that of the next name of its
// field, or by nothing. It is the rare way: asking every attribute beforehand
// would cost every span.
func (r *record) settle(slot uint8) {
	r.ranks[slot] = 0
	for name, value := range r.attributes.All() {
		targets := r.names.find(name)
		if targets == nil || !usable(value) {
			continue
		}
		for _, t := range *targets {
			if found := r.ranks[slot]; t.slot == slot && (found == 0 || t.rank < found) {
				r.ranks[slot] = t.rank
				r.values[slot] = value
			}
		}
	}
}
