package fakellm

import (
	"fmt"
	"net/http"
)

// Fault is what can be wrong with an answer.
type Fault int

// The faults. The zero value is an answer without one.
const (
	NoFault          Fault = iota
	RateLimited            // 429
	Overloaded             // 529
	Unavailable            // 503
	InternalError          // 500
	BadGateway             // 502
	GatewayTimeout         // 504
	Forbidden              // 403
	NotFound               // 404
	Timeout                // no answer until [Config.Hang] has passed
	Reset                  // the connection is reset
	Slow                   // an answer that is held up by [Config.SlowBy]
	InvalidJSON            // 200, and what follows is no JSON
	Truncated              // 200, and the answer ends in its middle
	EmptyBody              // 200, and nothing follows
	MissingFields          // 200, and the answer has no choices
	WrongContentType       // 200, and a page of HTML
	NumFaults
)

// faultNames are those that spans carry as chaos.fault.type.
var faultNames = [NumFaults]string{
	"", "rate_limit", "overload", "http_503", "http_500", "http_502", "http_504", "http_403", "http_404",
	"timeout", "reset", "latency", "invalid_json", "truncated", "empty_body", "missing_fields", "wrong_content_type",
}

// String returns the name of a fault as spans carry it; empty for NoFault.
func (f Fault) String() string {
	if f < 0 || f >= NumFaults {
		return fmt.Sprintf("Fault(%d)", int(f))
	}
	return faultNames[f]
}

// Overloads, which servers of other vendors answer with 529, a status that
// net/http has no name for.
const statusOverloaded = 529

// statuses of the faults that are answered by an error.
var statuses = map[Fault]int{
	RateLimited: http.StatusTooManyRequests, Overloaded: statusOverloaded, Unavailable: http.StatusServiceUnavailable,
	InternalError: http.StatusInternalServerError, BadGateway: http.StatusBadGateway, GatewayTimeout: http.StatusGatewayTimeout,
	Forbidden: http.StatusForbidden, NotFound: http.StatusNotFound,
}

// Status returns the HTTP status that a fault is answered with; 200 where only
// the body or the time is wrong, 0 where there is no answer.
func (f Fault) Status() int {
	if status, ok := statuses[f]; ok {
		return status
	}
	if f == Timeout || f == Reset {
		return 0
	}
	return http.StatusOK
}
