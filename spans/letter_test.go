package spans_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/spans"
)

// TestLettersComeBack: what is written is read again, and is OTLP.
func TestLettersComeBack(t *testing.T) {
	reader := spans.NewReader(options)
	for range 20 {
		batch := reader.Redact(scattered(seedtest.Rand(t), 30))
		payload, err := spans.MarshalLetter(batch)
		require.NoError(t, err)
		require.Equal(t, marshal(t, batch), payload)
		again, err := spans.UnmarshalLetter(payload)
		require.NoError(t, err)
		require.Equal(t, readRequests(reader, batch), readRequests(reader, again))
		clear(payload)
		require.Equal(t, marshal(t, batch), marshal(t, again), "memory is not shared")
	}
}

func TestLettersHaveASize(t *testing.T) {
	sized := func(bytes int) ptrace.Traces {
		batch, span := spanOf(nil, nil)
		span.SetName(strings.Repeat("x", bytes))
		return batch
	}
	const around = 100 // ids, times and lengths
	payload, err := spans.MarshalLetter(sized(spans.MaxLetterBytes - around))
	require.NoError(t, err)
	_, err = spans.UnmarshalLetter(payload)
	require.NoError(t, err)

	tooLarge := sized(spans.MaxLetterBytes)
	_, err = spans.MarshalLetter(tooLarge)
	require.ErrorContains(t, err, "marshal dead letter: 16777")
	_, err = spans.UnmarshalLetter(marshal(t, tooLarge))
	require.ErrorContains(t, err, "unmarshal dead letter: 16777")
}

func TestLettersThatAreNone(t *testing.T) {
	for _, payload := range []string{"x", "\x0a\xff", "\x0a\x05ab", strings.Repeat("\xff", 40)} {
		_, err := spans.UnmarshalLetter([]byte(payload))
		require.ErrorContains(t, err, "unmarshal dead letter: ", "%q", payload)
	}
	empty, err := spans.UnmarshalLetter(nil)
	require.NoError(t, err)
	require.Zero(t, empty.SpanCount())
}
