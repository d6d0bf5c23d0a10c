package spans

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// errorClass is a set of error.type values that mean one outcome. Values are
// compared in lower case, without the package or module in front of a class
// name, as equal to a name, as beginning with a prefix, or as containing a
// part.
type errorClass struct {
	outcome  aggregator.Outcome
	names    []string
	prefixes []string
	parts    []string
}

// classesBeforeStatus decide even when there is a status code: a response that
// could not be parsed is malformed though it came with 200, and a timeout is a
// connection error though a gateway answered 504.
var classesBeforeStatus = []errorClass{
	{
		outcome: aggregator.OutcomeMalformed,
		names: []string{
			"jsondecodeerror", "json_decode_error", "apiresponsevalidationerror", "invalid_response", "syntaxerror",
			"jsonparseerror", "typevalidationerror", "invalidresponsedataerror", "output_parsing_error", "outputparserexception", "-32700",
		},
		prefixes: []string{"malformed"},
	},
	{
		outcome: aggregator.OutcomeConnectionError,
		names: []string{
			"econnreset", "econnrefused", "econnaborted", "etimedout", "enotfound", "ehostunreach", "epipe",
			"socketexception", "sockethanguperror", "unknownhostexception", "apiconnectionerror", "deadline_exceeded",
			"deadlineexceedederror", "deadlineexceeded", "stream_idle_timeout", "readerror", "remoteprotocolerror",
			"endpointconnectionerror", "operror", "clientconnectorerror", "serverdisconnectederror", "newconnectionerror",
			"name_resolution_error", "secure_connection_error", "brokenpipeerror", "noroutetohostexception", "eai_again",
			"und_err_socket",
		},
		prefixes: []string{"connection", "connect_", "connecterror", "connectexception"},
		parts:    []string{"timeout", "timedout", "timed_out"},
	},
}

// classesAfterStatus decide where no status code does.
var classesAfterStatus = []errorClass{
	{
		outcome: aggregator.OutcomeCancelled,
		names: []string{
			"cancelled", "canceled", "cancellederror", "cancellationexception", "aborterror", "user_abort",
			"operationcanceledexception", "taskcanceledexception", "apiuseraborterror",
		},
		prefixes: []string{"context canceled"},
	},
	{
		outcome: aggregator.OutcomeCircuitOpen,
		names:   []string{"brokencircuitexception", "isolatedcircuitexception", "callnotpermittedexception", "openerror"},
		parts:   []string{"circuit"},
	},
	{
		outcome: aggregator.OutcomeRateLimited,
		names: []string{
			"too_many_requests", "toomanyrequests", "resource_exhausted", "resourceexhausted", "throttlingexception",
			"throttlederror", "quota_exceeded",
		},
		prefixes: []string{"rate_limit", "ratelimit"},
	},
	{outcome: aggregator.OutcomeCapacityError, prefixes: []string{"overloaded", "capacity"}},
	{
		outcome: aggregator.OutcomeServerError,
		names: []string{
			"internalservererror", "internal_server_error", "internal_error", "server_error", "servererror",
			"serviceunavailableerror", "serviceunavailable", "service_unavailable", "unavailable", "bad_gateway",
			"badgateway", "unimplemented", "internal", "data_loss", "no_healthy_upstream",
			"upstream_retry_limit_exceeded", "api_error", "-32603", "-32000",
		},
	},
	{
		outcome: aggregator.OutcomeClientError,
		names: []string{
			"badrequesterror", "bad_request", "invalid_request_error", "invalid_argument", "authenticationerror",
			"authentication_error", "unauthenticated", "permissiondeniederror", "permission_error", "permission_denied",
			"notfounderror", "not_found", "not_found_error", "conflicterror", "unprocessableentityerror",
			"request_too_large", "already_exists", "failed_precondition", "aborted", "out_of_range", "no_route_found",
			"unauthorized_external_service", "contextwindowexceedederror", "contentpolicyviolationerror",
			"validationexception", "accessdeniedexception", "-32600", "-32601", "-32602",
		},
	},
}

func (c *errorClass) holds(errorType string) bool {
	for _, name := range c.names {
		if errorType == name {
			return true
		}
	}
	for _, prefix := range c.prefixes {
		if strings.HasPrefix(errorType, prefix) {
			return true
		}
	}
	for _, part := range c.parts {
		if strings.Contains(errorType, part) {
			return true
		}
	}
	return false
}

func classify(classes []errorClass, errorType string) (aggregator.Outcome, bool) {
	for i := range classes {
		if classes[i].holds(errorType) {
			return classes[i].outcome, true
		}
	}
	return 0, false
}

// statusOutcome says what an HTTP status code means, false for one that is no
// failure.
func statusOutcome(code int64) (aggregator.Outcome, bool) {
	switch {
	case code == 429:
		return aggregator.OutcomeRateLimited, true
	case code == 529:
		return aggregator.OutcomeCapacityError, true
	case code == 499: // the client closed the request
		return aggregator.OutcomeCancelled, true
	case 500 <= code && code <= 599:
		return aggregator.OutcomeServerError, true
	case 400 <= code && code <= 499:
		return aggregator.OutcomeClientError, true
	default:
		return 0, false
	}
}

// outcome says how the span ended, and the error type that goes with it. It
// looks at what names the error and at the HTTP status before the span status:
// a server span that answered 4xx leaves its status unset.
func (w *walker) outcome(status ptrace.StatusCode) (aggregator.Outcome, string) {
	failed := status == ptrace.StatusCodeError
	code, _ := w.count(fieldStatusCode, 999)
	errorType := ""
	if w.span.hasAny(failureFields) || w.eventful {
		failed = failed || w.saysFailed()
		errorType = w.errorType(failed)
	}
	if errorType == "" {
		return w.outcomeOfStatus(code, failed)
	}
	f := failure{errorType, code, ""}
	if w.span.has(fieldRPCStatus) {
		f.rpc = rpcErrorType(w.text(&w.span, fieldRPCStatus))
	}
	outcome, known := w.outcomes[f]
	if !known {
		outcome = w.reader.outcomeOf(f)
		if len(w.outcomes) < maxJoined && len(errorType) <= maxRemembered {
			f.errorType, f.rpc = strings.Clone(errorType), strings.Clone(f.rpc)
			w.outcomes[f] = outcome
		}
	}
	return outcome, errorType
}

// outcomeOfStatus says how a span ended that does not name its error.
func (w *walker) outcomeOfStatus(code int64, failed bool) (aggregator.Outcome, string) {
	outcome, failure := statusOutcome(code)
	if !failure && !failed {
		return aggregator.OutcomeSuccess, ""
	}
	errorType := ""
	if failure {
		errorType = statusText(code)
		if configured, ok := w.reader.outcomes[errorType]; ok {
			return configured, errorType
		}
	} else {
		outcome = aggregator.OutcomeOtherError
	}
	if w.span.has(fieldResponseFlags) {
		flags := w.responseFlags(&w.span)
		for _, e := range envoyOutcomes {
			if hasFlag(flags, e.flag) {
				return e.outcome, errorType
			}
		}
	}
	return outcome, errorType
}

// errorType returns the name of the error: error.type, else the type of the
// exception of a span that failed, else what the RPC status says.
func (w *walker) errorType(failed bool) string {
	if named := w.text(&w.span, fieldErrorType); named != "" {
		return named
	}
	if failed && w.told.exceptionType != "" {
		return w.told.exceptionType
	}
	if w.span.has(fieldRPCStatus) {
		return rpcErrorType(w.text(&w.span, fieldRPCStatus))
	}
	return ""
}

// saysFailed tells whether the span says in its own way that it failed.
func (w *walker) saysFailed() bool {
	r := &w.span
	return r.has(fieldErrorFlag) && w.text(r, fieldErrorFlag) == "true" ||
		r.has(fieldSuccess) && w.text(r, fieldSuccess) == "false" ||
		r.has(fieldLevel) && w.text(r, fieldLevel) == "ERROR"
}

// failure is what the outcome of a failed span depends on.
type failure struct {
	errorType string
	code      int64  // 0: none
	rpc       string // the error that the RPC status names
}

// outcomeOf decides the outcome of a span that names its error.
func (r *Reader) outcomeOf(f failure) aggregator.Outcome {
	errorType, code := f.errorType, f.code
	if outcome, ok := r.outcomes[errorType]; ok {
		return outcome
	}
	name := className(errorType)
	if outcome, ok := classify(classesBeforeStatus, name); ok {
		return outcome
	}
	if code == 0 {
		code = codeOf(errorType)
	}
	if outcome, ok := statusOutcome(code); ok {
		return outcome
	}
	if outcome, ok := classify(classesAfterStatus, name); ok {
		return outcome
	}
	if f.rpc != "" && f.rpc != f.errorType {
		return r.outcomeOf(failure{errorType: f.rpc})
	}
	return aggregator.OutcomeOtherError
}

// codeOf returns the HTTP status that error.type holds, where the conventions
// have it put there; 0 for another error.
func codeOf(errorType string) int64 {
	if len(errorType) != 3 {
		return 0
	}
	code, err := strconv.ParseInt(errorType, 10, 64)
	if err != nil || code < 100 || code > 599 {
		return 0
	}
	return code
}

// className returns the last part of a qualified class name, in lower case:
// "java.net.SocketTimeoutException" gives "sockettimeoutexception".
func className(errorType string) string {
	if len(errorType) > aggregator.MaxValueBytes {
		errorType = errorType[:aggregator.MaxValueBytes]
	}
	name := strings.ToLower(errorType)
	name = name[strings.LastIndexAny(name, ".:/\\")+1:]
	return strings.TrimPrefix(name, "ai_") // the Vercel AI SDK puts it before all of its errors
}

// statusTexts spares an allocation for every failed HTTP span.
var statusTexts = func() (texts [1000]string) {
	for code := range texts {
		texts[code] = strconv.Itoa(code)
	}
	return texts
}()

func statusText(code int64) string { return statusTexts[code] }
