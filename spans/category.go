package spans

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// genAIOperation says what a value of gen_ai.operation.name means. Tokens and
// cost are counted on leaves only: agent and workflow spans repeat those of
// their children, and fetch_response repeats those of an earlier call.
type genAIOperation struct {
	category aggregator.Category
	leaf     bool
}

var genAIOperations = map[string]genAIOperation{
	"chat":             {aggregator.CategoryLLM, true},
	"text_completion":  {aggregator.CategoryLLM, true},
	"generate_content": {aggregator.CategoryLLM, true},
	"embeddings":       {aggregator.CategoryEmbedding, true},
	"retrieval":        {aggregator.CategoryRetrieval, false},
	"execute_tool":     {aggregator.CategoryTool, false},
	"create_agent":     {aggregator.CategoryAgent, false},
	"invoke_agent":     {aggregator.CategoryAgent, false},
	"invoke_workflow":  {aggregator.CategoryWorkflow, false},
}

// operationIndex finds the rows of genAIOperations.
var operationIndex = func() (index nameTable[genAIOperation]) {
	for name, operation := range genAIOperations {
		*index.add(name) = operation
	}
	return index
}()

// category says what sort of work the span is, and whether its tokens count.
// A GenAI operation that the table does not know is told by the rest of the
// span, so that it can never add tokens a second time.
func (w *walker) category(kind ptrace.SpanKind) (category aggregator.Category, leaf bool) {
	if operation := operationIndex.find(w.text(&w.span, fieldOperation)); operation != nil {
		return operation.category, operation.leaf
	}
	switch {
	case w.span.has(uint8(fieldDBSystem)):
		return aggregator.CategoryDatabase, false
	case w.span.has(uint8(fieldMessagingSystem)), kind == ptrace.SpanKindProducer, kind == ptrace.SpanKindConsumer:
		return aggregator.CategoryMessaging, false
	case kind == ptrace.SpanKindServer:
		return aggregator.CategoryServer, false
	case kind == ptrace.SpanKindClient:
		return aggregator.CategoryClient, false
	default:
		return aggregator.CategoryOther, false
	}
}

// kindOf maps the span kinds of pdata; an unknown number is unspecified.
func kindOf(kind ptrace.SpanKind) aggregator.Kind {
	if kind < 0 || int(kind) >= int(aggregator.NumKinds) {
		return aggregator.KindUnspecified
	}
	return aggregator.Kind(kind)
}
