package spanbucketexporter

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/spans"
)

// TestContentIsNotInLetters sends content in every attribute that is known to
// hold some, at every level and in every form, and in every other place, as
// TestContentIsNotStored does, through the redaction of dead letters.
func TestContentIsNotInLetters(t *testing.T) {
	reader := spans.NewReader(spans.Options{})
	r := seedtest.Rand(t)
	hosts := goldenHosts(t)
	letter := func(batch ptrace.Traces) []byte {
		payload, err := spans.MarshalLetter(reader.Redact(batch))
		require.NoError(t, err)
		return payload
	}
	sent, carried, kept := 0, 0, 0
	check := func(what string, change func(guest)) {
		batch := ptrace.NewTraces()
		sent++
		change(hosts[r.IntN(len(hosts))].addTo(batch, uint32(sent)))
		if found(marshalBatch(t, batch), canary) {
			carried++
		}
		payload := letter(batch)
		require.False(t, found(payload, canary), what)
		kept += len(payload)
	}
	for _, name := range contentNames(t) {
		for _, put := range contentForms {
			for level := range 5 {
				check(name, func(g guest) {
					levels := g.levels()
					put(levels[min(level, len(levels)-1)].PutEmpty(name))
				})
			}
		}
	}
	for _, place := range contentPlaces {
		for range 60 {
			check("another place", place)
		}
	}
	require.Greater(t, sent, 10_000)
	require.Equal(t, sent, carried, "the control: without redaction, all of it is there")
	require.Greater(t, kept, sent*100, "the spans themselves are there")
	require.True(t, found(letter(chatSpan(map[string]any{"gen_ai.request.model": marker})), marker), "names are stored")
}

func marshalBatch(t *testing.T, batch ptrace.Traces) []byte {
	payload, err := spans.MarshalLetter(batch)
	require.NoError(t, err)
	return payload
}
