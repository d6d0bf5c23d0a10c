package spanbucketexporter

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// fullDiskDelay is how long a client is asked to wait while the disk is full.
const fullDiskDelay = 30 * time.Second

// fullDiskError asks the client to wait. Receivers hand on what it says as gRPC
// status, and as Retry-After over HTTP.
// https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-throttling
type fullDiskError struct{ error }

func (e *fullDiskError) Unwrap() error { return e.error }

// GRPCStatus is what packages of gRPC look for in an error.
func (e *fullDiskError) GRPCStatus() *status.Status {
	s := status.New(codes.Unavailable, e.Error())
	delayed, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(fullDiskDelay)})
	if err != nil {
		return s
	}
	return delayed
}
