package spans

import "strings"

// scope says on which level a field is looked for.
type scope uint8

const (
	onSpan scope = iota
	onResource
	onSpanThenResource
)

// source says where a field is read from: of the attributes present, the first
// in the list counts.
type source struct {
	field      field
	scope      scope
	attributes []string
	// claudeCode names are too general to mean anything on another span than
	// those of Claude Code; they come after attributes.
	claudeCode []string
	// request: only rows of single requests need the field.
	request bool
}

// sources is where each field is read from. To teach the reader another
// dialect, add its names here, behind those that should win over them, and its
// operations to vocabularies.
//
// Names are those of the OpenTelemetry semantic conventions (general 1.41,
// GenAI 1.42.0-dev; then the names they replaced) and, after these, of the
// instrumentations that docs/dialects.md lists.
var sources = []source{
	{field: fieldService, scope: onResource, attributes: []string{"service.name"}},
	{field: fieldRun, scope: onSpanThenResource, attributes: []string{
		"chaos.run.id", "test.run.id", // private names
		"k6.test_run_id", "load_test.run_id", "cicd.pipeline.run.id",
	}},
	{field: fieldOperation, attributes: []string{
		"gen_ai.operation.name", "ai.operationId", "operation.name", "openinference.span.kind", "llm.request.type",
		"traceloop.span.kind", "langfuse.observation.type",
	}},
	{field: fieldProvider, attributes: []string{
		"gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider",
		"llm.vendor",
	}},
	// The model that was asked for: a call that failed knows no other, and a
	// model's failures belong beside its successes.
	{field: fieldModel, attributes: []string{
		"gen_ai.request.model", "ai.model.id", "llm.request.model_name", "llm.model_name", "embedding.model_name",
		"reranker.model_name", "llm.request.model", "langfuse.observation.model.name", "gen_ai.response.model", "ai.response.model", "llm.response.model_name",
		"llm.response.model", "litellm.provider.model",
	}, claudeCode: []string{"model"}},
	{field: fieldTool, attributes: []string{
		"gen_ai.tool.name", "tool.name", "ai.toolCall.name", "mcp.tool.name",
	}, claudeCode: []string{"tool_name"}},
	{field: fieldAgent, attributes: []string{"gen_ai.agent.name", "agent.name", "agent_name"}},
	// The name of the agent or tool that a span without one of the above is of.
	{field: fieldEntity, attributes: []string{"traceloop.entity.name", "ai.telemetry.functionId"}},

	{field: fieldInputTokens, attributes: []string{
		"gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "ai.usage.inputTokens",
		"ai.usage.promptTokens", "ai.usage.tokens", "llm.usage.prompt_tokens",
	}, claudeCode: []string{"input_tokens"}},
	{field: fieldOutputTokens, attributes: []string{
		"gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion",
		"ai.usage.outputTokens", "ai.usage.completionTokens", "llm.usage.completion_tokens",
	}, claudeCode: []string{"output_tokens"}},
	{field: fieldCacheReadTokens, attributes: []string{
		"gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
		"gen_ai.usage.cache_read_tokens", "gen_ai.usage.prompt_tokens_details.cached_tokens",
		"gen_ai.usage.cache.read_input_tokens", "gen_ai.usage.details.cache_read_tokens",
		"llm.token_count.prompt_details.cache_read", "ai.usage.inputTokenDetails.cacheReadTokens",
		"ai.usage.cachedInputTokens",
	}, claudeCode: []string{"cache_read_tokens"}},
	{field: fieldCacheWriteTokens, attributes: []string{
		"gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens",
		"gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.cache_write_input_tokens",
		"gen_ai.usage.cache_write_tokens",
		"gen_ai.usage.prompt_tokens_details.cache_creation_tokens", "gen_ai.usage.cache.creation_input_tokens", "gen_ai.usage.details.cache_write_tokens",
		"llm.token_count.prompt_details.cache_write", "ai.usage.inputTokenDetails.cacheWriteTokens",
	}, claudeCode: []string{"cache_creation_tokens"}},
	{field: fieldReasoningTokens, attributes: []string{
		"gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "llm.usage.reasoning_tokens",
		"gen_ai.usage.completion_tokens_details.reasoning_tokens", "gen_ai.usage.details.reasoning_tokens", "llm.token_count.completion_details.reasoning",
		"ai.usage.reasoningTokens", "ai.usage.outputTokenDetails.reasoningTokens",
	}},
	{field: fieldUsageDetails, attributes: []string{"langfuse.observation.usage_details"}},
	{field: fieldCost, attributes: []string{
		"gen_ai.usage.cost", "llm.cost.total", "litellm.cost.total", "gen_ai.cost.total_cost", "operation.cost",
	}, claudeCode: []string{"cost_usd"}},
	{field: fieldCostDetails, attributes: []string{"langfuse.observation.cost_details"}},
	{field: fieldTimeToFirstToken, attributes: []string{
		"gen_ai.response.time_to_first_chunk", "gen_ai.client.operation.time_to_first_chunk",
		"gen_ai.server.time_to_first_token", "gen_ai.server.ttft", "ttft_ms", "time_to_first_token_ms",
		"ai.response.msToFirstChunk", "ai.stream.msToFirstChunk",
	}},
	// When the first token came, as a time of day.
	{field: fieldFirstTokenTime, attributes: []string{"langfuse.observation.completion_start_time"}},
	{field: fieldSession, scope: onSpanThenResource, attributes: []string{
		"gen_ai.conversation.id", "session.id", "langfuse.session.id", "ai.telemetry.metadata.sessionId",
		"ai.settings.context.sessionId", "traceloop.association.properties.session_id", "coding_agent.session.id", "mcp.session.id",
	}},

	{field: fieldStatusCode, attributes: []string{"http.response.status_code", "http.status_code"}, claudeCode: []string{"status_code"}},
	{field: fieldErrorType, attributes: []string{"error.type"}},
	{field: fieldErrorFlag, attributes: []string{"error"}},
	{field: fieldSuccess, claudeCode: []string{"success"}},
	{field: fieldLevel, attributes: []string{"langfuse.observation.level"}},
	{field: fieldRPCStatus, attributes: []string{
		"rpc.response.status_code", "rpc.status_code", "rpc.grpc.status_code", "grpc.status_code", "rpc.connect_rpc.error_code", "rpc.jsonrpc.error_code",
	}},
	{field: fieldResendCount, attributes: []string{
		"http.request.resend_count", "http.resend_count", "retry.count", "attempt.number",
	}},
	// Counts from 1, unlike the number of resends.
	{field: fieldAttempt, claudeCode: []string{"attempt"}},
	{field: fieldMCPMethod, attributes: []string{"mcp.method.name"}},
	{field: fieldHTTPMethod, attributes: []string{"http.request.method", "http.method"}},
	{field: fieldHTTPRoute, attributes: []string{"http.route"}},
	{field: fieldRPCService, attributes: []string{"rpc.service"}},
	{field: fieldRPCMethod, attributes: []string{"rpc.method"}},
	{field: fieldDBSystem, attributes: []string{"db.system.name", "db.system"}},
	{field: fieldDBOperation, attributes: []string{"db.operation.name", "db.operation"}},
	{field: fieldDBCollection, attributes: []string{
		"db.collection.name", "db.sql.table", "db.mongodb.collection", "db.cassandra.table",
		"db.cosmosdb.container",
	}},
	{field: fieldMessagingSystem, attributes: []string{"messaging.system"}},
	{field: fieldMessagingOperation, attributes: []string{
		"messaging.operation.name", "messaging.operation.type", "messaging.operation",
	}},
	// The template first: temporary queues have names without end.
	{field: fieldMessagingDestination, attributes: []string{
		"messaging.destination.template", "messaging.destination.name", "messaging.destination",
	}},

	{field: fieldMessagingAnonymous, attributes: []string{
		"messaging.destination.anonymous", "messaging.destination.temporary",
	}},

	{field: fieldFault, scope: onSpanThenResource, attributes: []string{
		"chaos.fault.type", "chaos.fault", "fault.kind", "fault.type", "chaos.kind", "chaos.injection.type",
		"injection_type",
	}},
	{field: fieldFaultDelay, scope: onSpanThenResource, attributes: []string{
		"chaos.fault.latency_ms", "fault.latency_ms", "chaos.injected_delay_ms", "injected_delay_ms", "chaos.delay_ms",
	}},
	{field: fieldFaultStatus, scope: onSpanThenResource, attributes: []string{
		"chaos.fault.status_code", "fault.target_status",
	}},
	{field: fieldFaultHeaderDelay, attributes: []string{"http.request.header.x-envoy-fault-delay-request"}},
	{field: fieldFaultHeaderAbort, attributes: []string{"http.request.header.x-envoy-fault-abort-request"}},
	{field: fieldAttack, scope: onSpanThenResource, attributes: []string{"gremlin.com.active_attack"}},
	{field: fieldResponseFlags, attributes: []string{"response_flags", "response.flags"}},
	{field: fieldInjectorRole, attributes: []string{"chaos.role"}},
	{field: fieldChaosToolkit, attributes: []string{
		"chaostoolkit.experiment.title", "chaostoolkit.experiment.status", "chaostoolkit.experiment.deviated",
		"chaostoolkit.experiment.interrupted", "chaostoolkit.hypothesis.phase", "chaostoolkit.hypothesis.met",
		"chaostoolkit.activity.name", "chaostoolkit.activity.status", "chaostoolkit.activity.background",
	}},
	{field: fieldChaosActivity, attributes: []string{"activity"}, request: true},
	{field: fieldExperiment, scope: onSpanThenResource, request: true, attributes: []string{
		"chaos.experiment.id", "chaos.experiment.name", "chaostoolkit.experiment.title", "gremlin.com.active_attack",
		"litmus.experiment", "chaos.engine", "fis.experiment.id", "experiment.id",
	}},
	{field: fieldTarget, scope: onSpanThenResource, request: true, attributes: []string{
		"chaos.target", "chaos.fault.target", "fault.target",
	}},
	{field: fieldPhase, scope: onSpanThenResource, request: true, attributes: []string{
		"chaos.phase", "chaostoolkit.hypothesis.phase",
	}},

	{field: fieldToolCallID, attributes: []string{
		"gen_ai.tool.call.id", "gen_ai.tool.call_id", "ai.toolCall.id", "tool.id", "tool_call.id",
	}, claudeCode: []string{"tool_use_id"}},
	{field: fieldDecision, attributes: []string{
		"coding_agent.edit.decision", "gen_ai.agent.tool.disposition",
	}, claudeCode: []string{"decision"}},
	{field: fieldDecisionSource, request: true, attributes: []string{
		"coding_agent.edit.decision.source",
	}, claudeCode: []string{"source"}},
	{field: fieldCircuit, attributes: []string{
		"circuit_breaker.name", "circuit.name", "resilience4j.circuitbreaker.name",
	}},
	// Polly names a pipeline and a strategy in it.
	{field: fieldPipeline, attributes: []string{"pipeline.name"}},
	{field: fieldStrategy, attributes: []string{"strategy.name"}, request: true},
	{field: fieldCircuitState, attributes: []string{
		"circuit_breaker.state", "resilience4j.circuitbreaker.state",
	}},
	// Tells that there are judgements to look for; they are numbered.
	{field: fieldAnnotated, attributes: annotationNames(0)},

	{field: fieldInstance, scope: onResource, request: true, attributes: []string{"service.instance.id"}},
	{field: fieldHost, scope: onResource, request: true, attributes: []string{"host.name"}},
	{field: fieldProcess, scope: onResource, request: true, attributes: []string{"process.pid"}},
	{field: fieldResponseModel, attributes: []string{
		"gen_ai.response.model", "ai.response.model", "llm.response.model_name", "llm.response.model",
		"litellm.provider.model",
	}},
	// On Azure, the model that is asked for is the deployment.
	{field: fieldDeployment, request: true, attributes: []string{"gen_ai.request.model", "ai.model.id", "llm.request.model_name"}},
	{field: fieldURL, request: true, attributes: []string{"url.path", "url.full", "http.target", "http.url"}},
	{field: fieldURLTemplate, request: true, attributes: []string{"url.template"}},
	{field: fieldServerAddress, request: true, attributes: []string{"server.address", "net.peer.name", "http.host"}},
	{field: fieldServerPort, request: true, attributes: []string{"server.port", "net.peer.port"}},
	{field: fieldFinishReason, request: true, attributes: []string{
		"gen_ai.response.finish_reasons", "gen_ai.response.finish_reason", "gen_ai.response.stop_reason",
		"llm.finish_reason", "llm.response.finish_reason", "llm.response.stop_reason", "ai.response.finishReason",
		"gen_ai.completion.0.finish_reason", "llm.completions.0.finish_reason",
	}, claudeCode: []string{"stop_reason"}},
	{field: fieldMessages, request: true, attributes: []string{"gen_ai.input.messages", "ai.prompt.messages"}},
	{field: fieldRunName, scope: onSpanThenResource, attributes: []string{"chaos.run.name", "test.run.name"}},
	{field: fieldRunMode, scope: onSpanThenResource, attributes: []string{"chaos.mode"}},
	{field: fieldRunProfile, scope: onSpanThenResource, attributes: []string{"chaos.profile"}},
	{field: fieldRunPreset, scope: onSpanThenResource, attributes: []string{"chaos.preset"}},
	{field: fieldRunConfig, scope: onSpanThenResource, attributes: []string{"chaos.config"}},
	{field: fieldTestCase, attributes: []string{"test.case.name"}},
	{field: fieldTestResult, request: true, attributes: []string{"test.case.result.status"}},
	{field: fieldTestSuite, request: true, attributes: []string{"test.suite.name"}},
	{field: fieldTestExpected, request: true, attributes: []string{"test.case.expected"}}, // private names
	{field: fieldTestActual, request: true, attributes: []string{"test.case.actual"}},
	{field: fieldExperimentTitle, request: true, attributes: []string{"chaostoolkit.experiment.title"}},
	{field: fieldExperimentStatus, request: true, attributes: []string{"chaostoolkit.experiment.status"}},
	{field: fieldExperimentDeviated, request: true, attributes: []string{"chaostoolkit.experiment.deviated"}},
}

// onlyOfRequests are the fields that folding does not read.
var onlyOfRequests = func() (only [numFields]bool) {
	for _, s := range sources {
		only[s.field] = s.request
	}
	return only
}()

// scales says what a number is in, for fields with a unit: how many
// nanoseconds, or 1e-9 US dollars, one of it is. Names that are not here go by
// their ending, then by the default of their field.
var scales = map[string]float64{
	"ai.response.msToFirstChunk": 1e6,
	"ai.stream.msToFirstChunk":   1e6,
}

// fieldScales are the defaults: times are in seconds, as the conventions have
// them, injected delays in milliseconds, costs in US dollars.
var fieldScales = map[field]float64{
	fieldTimeToFirstToken: 1e9, fieldFaultDelay: 1e6, fieldCost: 1e9, fieldFaultStatus: 1,
}

func scaleOf(f field, name string) float64 {
	if scale, ok := scales[name]; ok {
		return scale
	}
	if f != fieldCost {
		for _, unit := range []struct {
			ending string
			scale  float64
		}{{"_ms", 1e6}, {"_us", 1e3}, {"_ns", 1}, {"_s", 1e9}, {"_seconds", 1e9}} {
			if strings.HasSuffix(name, unit.ending) {
				return unit.scale
			}
		}
	}
	return fieldScales[f]
}
