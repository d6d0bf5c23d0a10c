package spans

import (
	"strconv"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// envoyOutcomes say what became of a request that Envoy's response flags
// explain; of others its status does. Several flags may stand together: the
// first of this list counts.
//
// See https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#config-access-log-format-response-flags
var envoyOutcomes = []struct {
	flag    string
	outcome aggregator.Outcome
}{
	{"UO", aggregator.OutcomeCircuitOpen}, // upstream overflow: circuit breaking
	{"RL", aggregator.OutcomeRateLimited},
	{"OM", aggregator.OutcomeCapacityError},   // overload manager
	{"DC", aggregator.OutcomeCancelled},       // the client left
	{"UT", aggregator.OutcomeConnectionError}, // timeouts, resets and failures to connect, upstream and here
	{"SI", aggregator.OutcomeConnectionError},
	{"UF", aggregator.OutcomeConnectionError},
	{"UC", aggregator.OutcomeConnectionError},
	{"UR", aggregator.OutcomeConnectionError},
	{"LR", aggregator.OutcomeConnectionError},
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
	code, err := strconv.Atoi(status)
	switch {
	case err == nil && code >= 0 && code < len(grpcCodes):
		return grpcCodes[code]
	case err == nil && code >= 100 && code < 400: // of HTTP
		return ""
	default:
		return status
	}
}
