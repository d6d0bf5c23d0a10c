package spans

import "strconv"

// envoyErrors name the errors that Envoy's response flags stand for, in the
// words of its documentation. Several flags may stand together: the first of
// this list counts.
//
// See https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#config-access-log-format-response-flags
var envoyErrors = []struct{ flag, errorType string }{
	{"UO", "circuit_breaker_overflow"},
	{"RL", "rate_limited"},
	{"UT", "upstream_request_timeout"},
	{"SI", "stream_idle_timeout"},
	{"UF", "connection_upstream_failure"},
	{"UC", "connection_upstream_termination"},
	{"UR", "connection_upstream_remote_reset"},
	{"LR", "connection_local_reset"},
	{"DC", "cancelled"}, // downstream connection termination: the client left
	{"UH", "no_healthy_upstream"},
	{"NR", "no_route_found"},
	{"URX", "upstream_retry_limit_exceeded"},
	{"OM", "overloaded"},
	{"UAEX", "unauthorized_external_service"},
}

// grpcCodes are the names of gRPC's status codes by number.
//
// See https://grpc.io/docs/guides/status-codes/
var grpcCodes = [...]string{
	"", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
	"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// rpcErrorType returns the error that an RPC status names, empty for success:
// a gRPC code by its name, a JSON-RPC code as it is.
func rpcErrorType(status string) string {
	if status == "OK" || status == "ok" {
		return ""
	}
	if code, err := strconv.Atoi(status); err == nil && code >= 0 && code < len(grpcCodes) {
		return grpcCodes[code]
	}
	return status
}
