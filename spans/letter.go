package spans

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// MaxLetterBytes is the size of the largest batch that MarshalLetter writes, in
// bytes.
const MaxLetterBytes = 16 << 20

// MarshalLetter returns a batch as a dead letter holds it: OTLP TracesData in
// protobuf. It does not redact. A batch that would be larger than
// MaxLetterBytes is an error.
func MarshalLetter(batch ptrace.Traces) ([]byte, error) {
	var marshaler ptrace.ProtoMarshaler
	if size := marshaler.TracesSize(batch); size > MaxLetterBytes {
		return nil, fmt.Errorf("marshal dead letter: %d bytes, at most %d fit", size, MaxLetterBytes)
	}
	payload, err := marshaler.MarshalTraces(batch)
	if err != nil {
		return nil, fmt.Errorf("marshal dead letter: %w", err)
	}
	return payload, nil
}

// UnmarshalLetter returns the batch that a dead letter holds. It shares no
// memory with the payload.
func UnmarshalLetter(payload []byte) (ptrace.Traces, error) {
	if len(payload) > MaxLetterBytes {
		return ptrace.Traces{}, fmt.Errorf("unmarshal dead letter: %d bytes, at most %d are read", len(payload), MaxLetterBytes)
	}
	batch, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(payload)
	if err != nil {
		return ptrace.Traces{}, fmt.Errorf("unmarshal dead letter: %w", err)
	}
	return batch, nil
}
