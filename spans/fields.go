package spans

import (
	"maps"
	"slices"
)

// field is something that is read from attributes.
type field uint8

const (
	fieldService field = iota
	fieldRun
	fieldOperation
	fieldProvider
	fieldModel
	fieldTool
	fieldAgent
	fieldEntity
	fieldInputTokens
	fieldOutputTokens
	fieldCacheReadTokens
	fieldCacheWriteTokens
	fieldReasoningTokens
	fieldUsageDetails
	fieldCost
	fieldCostDetails
	fieldTimeToFirstToken
	fieldFirstTokenTime
	fieldSession
	fieldStatusCode
	fieldErrorType
	fieldErrorFlag
	fieldSuccess
	fieldLevel
	fieldRPCStatus
	fieldResendCount
	fieldAttempt
	fieldMCPMethod
	fieldHTTPMethod
	fieldHTTPRoute
	fieldRPCService
	fieldRPCMethod
	fieldDBSystem
	fieldDBOperation
	fieldDBCollection
	fieldMessagingSystem
	fieldMessagingOperation
	fieldMessagingDestination
	fieldMessagingAnonymous

	fieldFault
	fieldFaultDelay
	fieldFaultStatus
	fieldFaultHeaderDelay
	fieldFaultHeaderAbort
	fieldAttack
	fieldResponseFlags
	fieldInjectorRole
	fieldChaosToolkit
	fieldChaosActivity
	fieldExperiment
	fieldTarget
	fieldPhase

	fieldToolCallID
	fieldDecision
	fieldDecisionSource
	fieldCircuit
	fieldCircuitState
	fieldPipeline
	fieldAnnotated
	fieldTestCase

	fieldStrategy
	fieldInstance
	fieldHost
	fieldProcess
	fieldResponseModel
	fieldDeployment
	fieldURL
	fieldURLTemplate
	fieldServerAddress
	fieldServerPort
	fieldFinishReason
	fieldMessages
	fieldRunName
	fieldRunMode
	fieldRunProfile
	fieldRunPreset
	fieldRunConfig
	fieldTestResult
	fieldTestSuite
	fieldTestExpected
	fieldTestActual
	fieldExperimentTitle
	fieldExperimentStatus
	fieldExperimentDeviated
	numFields
)

// fieldSet is a set of fields, to pass over many that a span does not have at
// once. It has 64 places, which fields with higher numbers, and dimensions,
// share: a field that is not in it was not found, one that is may have been.
type fieldSet uint64

func setOf(fields ...field) (set fieldSet) {
	for _, f := range fields {
		set |= 1 << (f & 63)
	}
	return set
}

// Sets of fields that most spans have none of.
var (
	failureFields = setOf(fieldErrorType, fieldErrorFlag, fieldSuccess, fieldLevel, fieldRPCStatus, fieldResponseFlags)
	faultFields   = setOf(fieldFault, fieldFaultDelay, fieldFaultStatus, fieldFaultHeaderDelay, fieldFaultHeaderAbort,
		fieldAttack, fieldResponseFlags)
	injectorFields = setOf(fieldInjectorRole, fieldChaosToolkit)
	genAIFields    = setOf(fieldProvider, fieldModel, fieldTool, fieldAgent, fieldEntity)
	tokenFields    = setOf(fieldTimeToFirstToken, fieldFirstTokenTime)
	resendFields   = setOf(fieldResendCount, fieldAttempt)
	callFields     = setOf(fieldToolCallID, fieldDecision)
	eventFields    = setOf(fieldCircuit, fieldPipeline, fieldAnnotated, fieldTestCase)
)

// fieldNames are the fields whose sources can be configured, by the names that
// the file has for them.
var fieldNames = map[string]field{
	"service": fieldService, "run_id": fieldRun, "operation": fieldOperation, "provider": fieldProvider,
	"model": fieldModel, "response_model": fieldResponseModel, "tool": fieldTool, "agent": fieldAgent,
	"input_tokens": fieldInputTokens, "output_tokens": fieldOutputTokens, "cache_read_tokens": fieldCacheReadTokens,
	"cache_write_tokens": fieldCacheWriteTokens, "reasoning_tokens": fieldReasoningTokens, "cost_usd": fieldCost,
	"time_to_first_token": fieldTimeToFirstToken, "session_id": fieldSession, "status_code": fieldStatusCode,
	"error_type": fieldErrorType, "resend_count": fieldResendCount, "fault": fieldFault,
	"injected_delay_ms": fieldFaultDelay, "experiment_id": fieldExperiment, "target": fieldTarget, "phase": fieldPhase,
	"tool_call_id": fieldToolCallID, "decision": fieldDecision, "decision_source": fieldDecisionSource,
	"circuit": fieldCircuit, "instance": fieldInstance, "deployment": fieldDeployment, "finish_reason": fieldFinishReason,
}

// FieldNames returns the names of the fields that Options.Fields can say the
// sources of, in ascending order.
func FieldNames() []string {
	return slices.Sorted(maps.Keys(fieldNames))
}
