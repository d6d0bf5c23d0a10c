package stress_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/stress"
)

// TestTheFileSaysWhatHappened: for every preset, what the clients saw and what
// the fake model injected is in the file, to the last request.
func TestTheFileSaysWhatHappened(t *testing.T) {
	for _, preset := range fakellm.Presets {
		t.Run(preset.Name, func(t *testing.T) {
			const requests = 9000
			quick := preset
			quick.Latency, quick.Jitter = time.Millisecond, time.Millisecond
			w := newWorld(t, fakellm.Config{Preset: quick, Seed: 7, SlowBy: 5 * time.Millisecond, Hang: time.Minute, RetryAfter: time.Millisecond})
			began := time.Now()
			l := w.load(t, stress.Config{
				Profile: stress.Profile{Users: 200, SpawnRate: 10_000}, MaxRequests: requests, Seed: 7, EmbeddingModel: "fake-embedding",
				Timeout: 4 * time.Second, Cooldown: 20 * time.Millisecond, MaxPause: time.Millisecond, Grace: time.Minute,
			})
			took := time.Since(began)
			saw, did := l.Tally().Counts(), w.server.Truth()
			db := w.close(t)
			t.Logf("%d calls, %d attempts in %v: %v, %v; injected %v", saw.Calls, saw.Attempts, took, saw.Outcomes, saw.Transitions, did.Injected)

			want := map[string]int64{}
			for outcome, n := range saw.Outcomes {
				want[string(outcome)] = n
			}
			require.Equal(t, want, counts(t, db, `SELECT outcome, sum(requests) FROM latency
				WHERE width_s = 10 AND category IN ('llm', 'embedding') GROUP BY 1`), "calls by outcome")
			injected := map[string]int64{}
			for f, n := range did.Injected {
				if n > 0 && fakellm.Fault(f) != fakellm.NoFault {
					injected[fakellm.Fault(f).String()] = n
				}
			}
			require.Equal(t, injected, counts(t, db, `SELECT fault, sum(requests) FROM latency
				WHERE width_s = 10 AND category = 'server' AND fault <> '' GROUP BY 1`), "injected faults")
			require.Equal(t, map[string]int64{"": did.Answered + did.Refused}, counts(t, db, `SELECT '', sum(requests) FROM latency
				WHERE width_s = 10 AND category = 'server' GROUP BY 1`), "requests that reached the model")
			require.Equal(t, saw.Attempts, did.Answered)
			require.GreaterOrEqual(t, did.Answered, int64(requests))
			require.Equal(t, map[string]int64{"": saw.Attempts}, counts(t, db, `SELECT '', sum(requests) FROM latency
				WHERE width_s = 10 AND category = 'client' GROUP BY 1`), "HTTP requests")
			require.Equal(t, saw.Transitions, counts(t, db, `SELECT to_state, count(*) FROM circuits GROUP BY 1`), "circuits")
			require.Equal(t, map[string]int64{"": saw.Sessions}, counts(t, db, `SELECT '', count(*) FROM sessions`), "sessions")
			require.Equal(t, map[string]int64{"calls": saw.ToolCalls, "errors": saw.ToolFailures},
				counts(t, db, `SELECT 'calls', sum(calls) FROM tools UNION ALL SELECT 'errors', sum(errors) FROM tools`), "tools")
			require.Equal(t, map[string]int64{"in": saw.InputTokens, "out": saw.OutputTokens},
				counts(t, db, `SELECT 'in', sum(input_tokens) FROM latency WHERE width_s = 10
					UNION ALL SELECT 'out', sum(output_tokens) FROM latency WHERE width_s = 10`), "tokens")
		})
	}
}
