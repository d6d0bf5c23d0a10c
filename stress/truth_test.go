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
	transitions, rejected := map[string]int64{}, int64(0)
	for _, preset := range fakellm.Presets {
		t.Run(preset.Name, func(t *testing.T) {
			const requests = 9000
			quick := preset
			quick.Latency, quick.Jitter = time.Millisecond, time.Millisecond
			w := newWorld(t, fakellm.Config{Preset: quick, Seed: 7, SlowBy: 5 * time.Millisecond, Hang: time.Second, RetryAfter: time.Millisecond})
			began := time.Now()
			var ordinals int64 // what the spans of HTTP requests say, one after the other
			l := w.load(t, stress.Config{
				Profile: stress.Profile{Users: 200, SpawnRate: 10_000}, MaxRequests: requests, Seed: 7, EmbeddingModel: "fake-embedding",
				Timeout: time.Minute, Cooldown: 20 * time.Millisecond, MaxPause: time.Millisecond, Grace: time.Minute,
				Observe: func(c stress.Call) { ordinals += int64(c.Attempts*(c.Attempts-1)) / 2 },
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
			require.Equal(t, serverOutcomes(&did), counts(t, db, `SELECT outcome, sum(requests) FROM latency
				WHERE width_s = 10 AND category = 'server' GROUP BY 1`), "outcomes of the model's side")
			require.Equal(t, map[string]int64{"": did.Answered + did.Refused}, counts(t, db, `SELECT '', sum(requests) FROM latency
				WHERE width_s = 10 AND category = 'server' GROUP BY 1`), "requests that reached the model")
			require.Equal(t, saw.Attempts, did.Answered)
			require.GreaterOrEqual(t, did.Answered, int64(requests))
			require.Equal(t, map[string]int64{"": saw.Attempts}, counts(t, db, `SELECT '', sum(requests) FROM latency
				WHERE width_s = 10 AND category = 'client' GROUP BY 1`), "HTTP requests")
			require.Equal(t, map[string]int64{"calls": saw.Resends, "requests": ordinals}, counts(t, db, `SELECT
				CASE category WHEN 'client' THEN 'requests' ELSE 'calls' END, sum(resends) FROM timeseries
				WHERE width_s = 10 AND category IN ('llm', 'embedding', 'client') GROUP BY 1`), "resends")
			require.Equal(t, saw.Transitions, counts(t, db, `SELECT to_state, count(*) FROM circuits GROUP BY 1`), "circuits")
			require.Equal(t, map[string]int64{"": saw.Outcomes[stress.CircuitOpen]},
				counts(t, db, `SELECT '', sum(rejected) FROM circuit_totals`), "calls that a circuit refused")
			for state, n := range saw.Transitions {
				transitions[state] += n
			}
			rejected += saw.Outcomes[stress.CircuitOpen]
			require.Equal(t, map[string]int64{"": saw.Sessions}, counts(t, db, `SELECT '', count(*) FROM sessions`), "sessions")
			require.Equal(t, map[string]int64{"calls": saw.ToolCalls, "errors": saw.ToolFailures},
				counts(t, db, `SELECT 'calls', sum(calls) FROM tools UNION ALL SELECT 'errors', sum(errors) FROM tools`), "tools")
			require.Equal(t, map[string]int64{"in": saw.InputTokens, "out": saw.OutputTokens},
				counts(t, db, `SELECT 'in', sum(input_tokens) FROM latency WHERE width_s = 10
					UNION ALL SELECT 'out', sum(output_tokens) FROM latency WHERE width_s = 10`), "tokens")
		})
	} // Or the comparison of transitions would say nothing.
	for _, state := range []string{"open", "half_open", "closed"} {
		require.Positive(t, transitions[state], state)
	}
	require.Positive(t, rejected)
}

// serverOutcomes is how requests end on the model's side, by the faults that it
// injected into them.
func serverOutcomes(did *fakellm.Truth) map[string]int64 {
	outcomes := map[fakellm.Fault]string{
		fakellm.RateLimited: "rate_limited", fakellm.Overloaded: "capacity_error", fakellm.Timeout: "connection_error", fakellm.Reset: "connection_error",
		fakellm.Forbidden: "client_error", fakellm.NotFound: "client_error", fakellm.Truncated: "malformed",
		fakellm.Unavailable: "server_error", fakellm.InternalError: "server_error", fakellm.BadGateway: "server_error", fakellm.GatewayTimeout: "server_error",
	}
	all := map[string]int64{}
	for f, n := range did.Injected {
		outcome, ok := outcomes[fakellm.Fault(f)]
		if !ok {
			outcome = "success" // an answer, if one that nobody can read
		}
		if n > 0 {
			all[outcome] += n
		}
	}
	return all
}
