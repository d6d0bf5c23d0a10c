package recording

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// decoder undoes the compression of single messages. It is safe for concurrent
// use.
var decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(MaxMessageBytes))
})

// decode returns the spans of a message; those of a text are JSON. A panic of the
// decoder is an error.
func decode(m message) (batch ptrace.Traces, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("decoding panics: %v", value)
		}
	}()
	data := m.data
	if m.place.line > 0 {
		return decodeJSON(data)
	}
	if bytes.HasPrefix(data, zstdMagic) {
		d, err := decoder()
		if err != nil {
			return batch, err
		}
		if data, err = d.DecodeAll(data, nil); err != nil {
			return batch, err
		}
	}
	if len(data) > 0 && data[0] == '{' {
		return decodeJSON(data)
	}
	// Bytes that happen to be fields of another number pass for an empty message.
	batch, err = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
	if err == nil && len(data) > 0 && batch.ResourceSpans().Len() == 0 {
		err = errNoSpans
	}
	return batch, err
}

var errNoSpans = errors.New("it holds no resourceSpans")

// decodeJSON refuses what the decoder lets pass: half an object, text after it,
// and signals other than spans, which it skips.
func decodeJSON(data []byte) (batch ptrace.Traces, err error) {
	if !json.Valid(data) {
		var whole json.RawMessage
		return batch, json.Unmarshal(data, &whole)
	}
	if data[0] != '{' {
		return batch, errors.New("it is not a JSON object")
	}
	if batch, err = (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(data); err != nil || batch.SpanCount() > 0 {
		return batch, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return batch, err
	}
	for _, other := range []string{"resourceMetrics", "resourceLogs", "resourceProfiles"} {
		if _, found := fields[other]; found {
			return batch, errors.New("it holds " + other + ", not resourceSpans")
		}
	}
	if _, found := fields["resourceSpans"]; !found && len(fields) > 0 {
		return batch, errNoSpans
	}
	return batch, nil
}
