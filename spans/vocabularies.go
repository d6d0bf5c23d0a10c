package spans

import (
	"maps"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// meaning says what a word for an operation means.
type meaning struct {
	operation string // as the GenAI conventions name it; empty: the word itself
	category  aggregator.Category
	// leaf: tokens and cost count. Agent and workflow spans repeat those of
	// their children, and fetch_response those of an earlier call.
	leaf bool
	role aggregator.Role
}

// The meanings that many words have.
var (
	chat       = meaning{"chat", aggregator.CategoryLLM, true, 0}
	completion = meaning{"text_completion", aggregator.CategoryLLM, true, 0}
	inference  = meaning{"", aggregator.CategoryLLM, true, 0}
	embeddings = meaning{"embeddings", aggregator.CategoryEmbedding, true, 0}
	retrieval  = meaning{"retrieval", aggregator.CategoryRetrieval, false, 0}
	tool       = meaning{"execute_tool", aggregator.CategoryTool, false, aggregator.RoleToolRun}
	agent      = meaning{"invoke_agent", aggregator.CategoryAgent, false, aggregator.RoleTurn}
	workflow   = meaning{"invoke_workflow", aggregator.CategoryWorkflow, false, aggregator.RoleTurn}
	memory     = meaning{"", aggregator.CategoryDatabase, false, 0}
	other      = meaning{"", aggregator.CategoryOther, false, 0}
)

// words of the sources of fieldOperation, by attribute. A word that its source
// does not list says nothing; the next source is asked.
var words = map[string]map[string]meaning{
	"gen_ai.operation.name": {
		"chat": chat, "text_completion": completion, "generate_content": {"generate_content", aggregator.CategoryLLM, true, 0},
		"embeddings": embeddings, "retrieval": retrieval, "execute_tool": tool,
		"create_agent": {"create_agent", aggregator.CategoryAgent, false, 0}, "invoke_agent": agent,
		"plan": {"plan", aggregator.CategoryAgent, false, 0}, "invoke_workflow": workflow,
		"search_memory": {"search_memory", aggregator.CategoryRetrieval, false, 0},
		"create_memory": memory, "update_memory": memory, "upsert_memory": memory, "delete_memory": memory,
		"create_memory_store": memory, "delete_memory_store": memory,
		// LiteLLM, which writes the name of its function
		"atext_completion": completion,
		"completion":       chat, "acompletion": chat, "responses": chat, "aresponses": chat, "embedding": embeddings,
		"acreate": chat, "aembedding": embeddings, "rerank": retrieval, "arerank": retrieval,
		// OpenLLMetry
		"vector_db_retrieve": retrieval, "llm_request": chat,
		// Gemini CLI
		"llm_call": chat, "tool_call": tool, "agent_call": agent, "user_prompt": agent,
		"schedule_tool_calls": {"", aggregator.CategoryWorkflow, false, 0},
		// OpenLIT
		"image": inference, "audio": inference, "agent": agent,
		"framework": {"", aggregator.CategoryWorkflow, false, 0}, "vectordb": memory,
	},
	"ai.operationId": vercelWords,
	"operation.name": vercelWords,
	"openinference.span.kind": anyCase(map[string]meaning{
		"llm": chat, "embedding": embeddings, "chain": workflow, "retriever": retrieval, "reranker": retrieval,
		"tool": tool, "agent": agent, "guardrail": {"guardrail", aggregator.CategoryOther, false, 0},
		"evaluator": {evaluator, aggregator.CategoryOther, false, 0},
		"prompt":    {"prompt", aggregator.CategoryOther, false, 0},
	}),
	"llm.request.type": {
		"chat": chat, "completion": completion, "acompletion": chat, "embedding": embeddings, "rerank": retrieval,
	},
	"traceloop.span.kind": {"workflow": workflow, "agent": agent, "tool": tool},
	"langfuse.observation.type": anyCase(map[string]meaning{
		"generation": chat, "embedding": embeddings, "retriever": retrieval, "tool": tool, "agent": agent, "chain": workflow,
	}),
}

var vercelWords = map[string]meaning{
	"ai.generateText.doGenerate": chat, "ai.streamText.doStream": chat, "ai.generateObject.doGenerate": chat,
	"ai.streamObject.doStream": chat, "ai.embed.doEmbed": embeddings, "ai.embedMany.doEmbed": embeddings,
	"ai.toolCall": tool, "ai.generateText": agent, "ai.streamText": agent, "ai.generateObject": agent,
	"ai.streamObject": agent, "ai.embed": {"", aggregator.CategoryWorkflow, false, 0},
	"ai.embedMany": {"", aggregator.CategoryWorkflow, false, 0}, "ai.rerank.doRerank": retrieval,
	"ai.rerank": {"", aggregator.CategoryWorkflow, false, 0},
}

// claudeCodePrefix begins the names of the spans of Claude Code, which say
// what they are by these.
const claudeCodePrefix = "claude_code."

var claudeCodeSpans = map[string]meaning{
	"claude_code.llm_request":          chat,
	"claude_code.interaction":          agent,
	"claude_code.tool.execution":       tool,
	"claude_code.tool":                 {"", aggregator.CategoryOther, false, aggregator.RoleToolCall},
	"claude_code.tool.blocked_on_user": {"", aggregator.CategoryOther, false, aggregator.RoleToolWait},
	"claude_code.hook":                 other,
}

// anyCase lets words be written in upper case as well.
func anyCase(words map[string]meaning) map[string]meaning {
	all := maps.Clone(words)
	for word, m := range words {
		all[strings.ToUpper(word)] = m
	}
	return all
}

// vocabulary finds the words of one source.
type vocabulary struct {
	words *nameTable[meaning]
	// firstWord: what follows a space is a name that the application gave.
	firstWord bool
}

var vocabularies = func() map[string]*vocabulary {
	all := map[string]*vocabulary{}
	for attribute, meanings := range words {
		all[attribute] = newVocabulary(meanings)
		all[attribute].firstWord = attribute == "operation.name"
	}
	return all
}()

var claudeCodeVocabulary = newVocabulary(claudeCodeSpans)

func newVocabulary(words map[string]meaning) *vocabulary { return &vocabulary{words: tableOf(words)} }

// vocabularyOf returns the vocabulary of an attribute: of one that is unknown,
// that of the conventions.
func vocabularyOf(attribute string) *vocabulary {
	if v, ok := vocabularies[attribute]; ok {
		return v
	}
	return vocabularies["gen_ai.operation.name"]
}

// find returns what a text means, nil where it is no word of the vocabulary;
// and the word.
func (v *vocabulary) find(text string) (*meaning, string) {
	if v.firstWord {
		text, _, _ = strings.Cut(text, " ")
	}
	return v.words.find(text), text
}
