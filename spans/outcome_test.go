package spans_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/spans"
)

const (
	unset  = ptrace.StatusCodeUnset
	ok     = ptrace.StatusCodeOk
	failed = ptrace.StatusCodeError
)

// failure returns the attributes of an error type and a status code; none where
// they are zero.
func failure(errorType, code any) attributes {
	a := attributes{}
	if errorType != "" {
		a["error.type"] = errorType
	}
	if code != 0 {
		a["http.response.status_code"] = code
	}
	return a
}

// TestOutcome: what was parsed wrongly or never arrived is decided by its error
// type even beside a status code, then the status code decides, then what the
// error type says without one, then the span status.
func TestOutcome(t *testing.T) {
	tests := []struct {
		errorType any
		code      any
		status    ptrace.StatusCode
		want      string
		errorKept string
	}{
		// Nothing but the span status.
		{"", 0, unset, "success", ""},
		{"", 0, ok, "success", ""},
		{"", 0, failed, "other_error", ""},

		// A status code that is no failure.
		{"", 100, unset, "success", ""},
		{"", 200, unset, "success", ""},
		{"", 200, ok, "success", ""},
		{"", 204, unset, "success", ""},
		{"", 302, unset, "success", ""},
		{"", 399, unset, "success", ""},
		{"", 600, unset, "success", ""},
		{"", 200, failed, "other_error", ""},
		{"", 302, failed, "other_error", ""},

		// A failure that a server leaves unset, and its text as error type.
		{"", 400, unset, "client_error", "400"},
		{"", 401, unset, "client_error", "401"},
		{"", 404, unset, "client_error", "404"},
		{"", 408, unset, "client_error", "408"},
		{"", 422, unset, "client_error", "422"},
		{"", 428, unset, "client_error", "428"},
		{"", 429, unset, "rate_limited", "429"},
		{"", 430, unset, "client_error", "430"},
		{"", 498, unset, "client_error", "498"},
		{"", 499, unset, "cancelled", "499"},
		{"", 500, unset, "server_error", "500"},
		{"", 502, failed, "server_error", "502"},
		{"", 503, ok, "server_error", "503"},
		{"", 504, failed, "server_error", "504"},
		{"", 528, failed, "server_error", "528"},
		{"", 529, failed, "capacity_error", "529"},
		{"", 530, failed, "server_error", "530"},
		{"", 599, failed, "server_error", "599"},

		// The status code in other clothes.
		{"", "429", unset, "rate_limited", "429"},
		{"", 429.0, unset, "rate_limited", "429"},
		{"429", 0, failed, "rate_limited", "429"},
		{"529", 0, failed, "capacity_error", "529"},
		{"499", 0, failed, "cancelled", "499"},
		{"503", 0, failed, "server_error", "503"},
		{"404", 0, failed, "client_error", "404"},
		{"404", 404, unset, "client_error", "404"},
		{int64(429), 0, failed, "rate_limited", "429"},
		{"200", 0, failed, "other_error", "200"},
		{"4o4", 0, failed, "other_error", "4o4"},
		{"404", 500, failed, "server_error", "404"}, // the response says it
		{"abc", 500, failed, "server_error", "abc"},
		{"4290", 0, failed, "other_error", "4290"},

		// Malformed answers came with 200.
		{"malformed_invalid_json", 200, unset, "malformed", "malformed_invalid_json"},
		{"malformed_truncated", 200, failed, "malformed", "malformed_truncated"},
		{"malformed_empty_body", 0, failed, "malformed", "malformed_empty_body"},
		{"JSONDecodeError", 200, failed, "malformed", "JSONDecodeError"},
		{"json.decoder.JSONDecodeError", 200, failed, "malformed", "json.decoder.JSONDecodeError"},
		{"json_decode_error", 200, failed, "malformed", "json_decode_error"},
		{"openai.APIResponseValidationError", 200, failed, "malformed", "openai.APIResponseValidationError"},
		{"malformed_json", 502, failed, "malformed", "malformed_json"},

		// What never arrived, whatever a gateway answered.
		{"timeout", 0, failed, "connection_error", "timeout"},
		{"timeout", 504, failed, "connection_error", "timeout"},
		{"timeout", 200, failed, "connection_error", "timeout"},
		{"connection_failed", 502, failed, "connection_error", "connection_failed"},
		{"connection_stall", 0, failed, "connection_error", "connection_stall"},
		{"connection_reset", 0, failed, "connection_error", "connection_reset"},
		{"ConnectionResetError", 0, failed, "connection_error", "ConnectionResetError"},
		{"httpx.ReadTimeout", 0, failed, "connection_error", "httpx.ReadTimeout"},
		{"TimeoutError", 0, failed, "connection_error", "TimeoutError"},
		{"java.net.SocketTimeoutException", 0, failed, "connection_error", "java.net.SocketTimeoutException"},
		{"java.net.ConnectException", 0, failed, "connection_error", "java.net.ConnectException"},
		{"openai.APIConnectionError", 0, failed, "connection_error", "openai.APIConnectionError"},
		{"openai.APITimeoutError", 0, failed, "connection_error", "openai.APITimeoutError"},
		{"ECONNRESET", 0, failed, "connection_error", "ECONNRESET"},
		{"ETIMEDOUT", 0, failed, "connection_error", "ETIMEDOUT"},
		{"context.deadlineExceededError", 0, failed, "connection_error", "context.deadlineExceededError"},
		{"DEADLINE_EXCEEDED", 0, failed, "connection_error", "DEADLINE_EXCEEDED"},

		// Names of what a status code would say, and beside one that says more.
		{"RateLimitError", 0, failed, "rate_limited", "RateLimitError"},
		{"openai.RateLimitError", 0, failed, "rate_limited", "openai.RateLimitError"},
		{"rate_limit_exceeded", 0, failed, "rate_limited", "rate_limit_exceeded"},
		{"RESOURCE_EXHAUSTED", 0, failed, "rate_limited", "RESOURCE_EXHAUSTED"},
		{"RateLimitError", 429, failed, "rate_limited", "RateLimitError"},
		{"RateLimitError", 503, failed, "server_error", "RateLimitError"},
		{"overloaded_error", 0, failed, "capacity_error", "overloaded_error"},
		{"overloaded_error", 529, failed, "capacity_error", "overloaded_error"},
		{"InternalServerError", 500, failed, "server_error", "InternalServerError"},
		{"BadRequestError", 400, failed, "client_error", "BadRequestError"},
		{"cancelled", 0, failed, "cancelled", "cancelled"},
		{"CANCELED", 0, failed, "cancelled", "CANCELED"},
		{"cancelled", 200, failed, "cancelled", "cancelled"},
		{"asyncio.exceptions.CancelledError", 0, unset, "cancelled", "asyncio.exceptions.CancelledError"},
		{"context.Canceled", 0, failed, "cancelled", "context.Canceled"},
		{"context canceled", 0, failed, "cancelled", "context canceled"},
		{"circuit_open", 0, failed, "circuit_open", "circuit_open"},
		{"CircuitOpenError", 0, failed, "circuit_open", "CircuitOpenError"},
		{"Polly.CircuitBreaker.BrokenCircuitException", 0, failed, "circuit_open", "Polly.CircuitBreaker.BrokenCircuitException"},
		{"CallNotPermittedException", 0, failed, "circuit_open", "CallNotPermittedException"},

		// An error type means a failure, whatever else says otherwise.
		{"_OTHER", 0, failed, "other_error", "_OTHER"},
		{"_OTHER", 500, failed, "server_error", "_OTHER"},
		{"_OTHER", 404, unset, "client_error", "_OTHER"},
		{"ToolException", 0, unset, "other_error", "ToolException"},
		{"ToolException", 200, ok, "other_error", "ToolException"},
		{"dns", 0, failed, "other_error", "dns"},
		{true, 0, unset, "other_error", "true"},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.errorType, " ", test.code, " ", test.status), func(t *testing.T) {
			batch, span := spanOf(attributes{"service.name": "shop"}, failure(test.errorType, test.code))
			span.SetKind(ptrace.SpanKindServer)
			span.Status().SetCode(test.status)
			got := readOne(t, batch)
			if got.Series.Outcome.String() != test.want || got.Series.ErrorType != test.errorKept || got.Notes != 0 {
				t.Errorf("outcome %v, error type %q, notes %b; want %s, %q",
					got.Series.Outcome, got.Series.ErrorType, got.Notes, test.want, test.errorKept)
			}
		})
	}
}

// TestOutcomeOfBadStatusCode: a status code that is none is noted, and the rest
// decides.
func TestOutcomeOfBadStatusCode(t *testing.T) {
	number, kind := aggregator.NoteInvalidNumber, aggregator.NoteInvalidAttributeType
	for _, test := range []struct {
		code any
		note aggregator.Note
	}{
		{int64(-1), number}, {int64(1000), number}, {int64(1 << 62), number}, {"", 0}, {"4 2 9", number}, {429.5, number},
		{"four", number}, {true, kind}, {[]any{int64(429)}, kind}, {map[string]any{}, kind}, {[]byte{4, 2, 9}, kind},
	} {
		batch, _ := spanOf(attributes{"service.name": "shop"}, attributes{"http.response.status_code": test.code})
		got := readOne(t, batch)
		if got.Series.Outcome != aggregator.OutcomeSuccess || got.Series.ErrorType != "" || got.Notes != test.note {
			t.Errorf("status code %v: %v, %q, notes %b; want success and notes %b",
				test.code, got.Series.Outcome, got.Series.ErrorType, got.Notes, test.note)
		}
	}
	for status, want := range map[ptrace.StatusCode]aggregator.Outcome{
		99: aggregator.OutcomeSuccess, -1: aggregator.OutcomeSuccess, failed: aggregator.OutcomeOtherError,
	} {
		batch, span := spanOf(nil, nil)
		span.Status().SetCode(status)
		if got := readOne(t, batch).Series.Outcome; got != want {
			t.Errorf("span status %d: %v, want %v", status, got, want)
		}
	}
}

// TestConfiguredOutcomes decide before every other rule, by the exact error
// type, which is kept.
func TestConfiguredOutcomes(t *testing.T) {
	options := spans.Options{Outcomes: map[string]aggregator.Outcome{
		"QuotaSpent": aggregator.OutcomeRateLimited, "timeout": aggregator.OutcomeServerError,
		"NotFound": aggregator.OutcomeSuccess, "503": aggregator.OutcomeCapacityError,
	}}
	for _, test := range []struct {
		errorType string
		code      any
		want      aggregator.Outcome
	}{
		{"QuotaSpent", 0, aggregator.OutcomeRateLimited},
		{"QuotaSpent", 500, aggregator.OutcomeRateLimited},
		{"timeout", 504, aggregator.OutcomeServerError},
		{"Timeout", 504, aggregator.OutcomeConnectionError},
		{"my.QuotaSpent", 0, aggregator.OutcomeOtherError},
		{"NotFound", 404, aggregator.OutcomeSuccess},
		{"503", 503, aggregator.OutcomeCapacityError},
	} {
		batch, span := spanOf(nil, failure(test.errorType, test.code))
		span.Status().SetCode(failed)
		got := readOneWith(t, options, batch).Series
		if got.Outcome != test.want || got.ErrorType != test.errorType {
			t.Errorf("%s with %v: %v, %q; want %v", test.errorType, test.code, got.Outcome, got.ErrorType, test.want)
		}
	}
	// Without an error type, the status code stands in for it.
	batch, _ := spanOf(nil, attributes{"http.response.status_code": int64(503)})
	if got := readOneWith(t, options, batch).Series; got.Outcome != aggregator.OutcomeCapacityError || got.ErrorType != "503" {
		t.Errorf("status 503 alone: %v, %q", got.Outcome, got.ErrorType)
	}
	// The reader has its own copy.
	reader := spans.NewReader(options)
	delete(options.Outcomes, "QuotaSpent")
	batch, _ = spanOf(nil, failure("QuotaSpent", 0))
	if got := read(reader, batch)[0].Series.Outcome; got != aggregator.OutcomeRateLimited {
		t.Errorf("after a change of the options: %v", got)
	}
}

// TestOutcomeIsAPartition: any error type, code and status give one of the ten
// outcomes; what names an error, has a failure code or a failed status is no
// success, and anything else is.
func TestOutcomeIsAPartition(t *testing.T) {
	random := seedtest.Rand(t)
	pieces := []string{"timeout", "Rate", "limit", ".", ":", "/", "\\", "malformed", "É", "\xff", "\x00", "429", "circuit", "", "Error"}
	reader := spans.NewReader(spans.Options{})
	for range 30_000 {
		var errorType strings.Builder
		for range random.IntN(4) {
			errorType.WriteString(pieces[random.IntN(len(pieces))])
		}
		code := random.IntN(700)
		status := ptrace.StatusCode(random.IntN(3))
		batch, span := spanOf(nil, failure(errorType.String(), int64(code)))
		if code == 0 {
			span.Attributes().Remove("http.response.status_code")
		}
		span.Status().SetCode(status)
		got := read(reader, batch)[0].Series
		isFailure := errorType.Len() > 0 || 400 <= code && code <= 599 || status == failed
		if got.Outcome >= aggregator.NumOutcomes || (got.Outcome != aggregator.OutcomeSuccess) != isFailure {
			t.Fatalf("error type %q, code %d, status %v: %v", errorType.String(), code, status, got.Outcome)
		}
		want := errorType.String()
		if want == "" && 400 <= code && code <= 599 {
			want = strconv.Itoa(code)
		}
		if got.ErrorType != want {
			t.Fatalf("error type %q, code %d, status %v: kept as %q", errorType.String(), code, status, got.ErrorType)
		}
	}
}
