package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	vegeta "github.com/tsenart/vegeta/v12/lib"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/stress"
)

// TestMedianAgreesWithAnotherLoadTool: what our clients measure, and what vegeta
// does on the same server, differ by less than 5 % in the median. The two take
// turns, so that a machine that is busy for a while is so for both.
func TestMedianAgreesWithAnotherLoadTool(t *testing.T) {
	for _, delay := range []time.Duration{20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			server := httptest.NewServer(fakellm.New(fakellm.Config{Preset: fakellm.Preset{Latency: delay}}))
			defer server.Close()
			var ours, theirs []time.Duration
			for round := range uint64(4) {
				ours = append(ours, stressed(t, server.URL, round)...)
				theirs = append(theirs, attacked(t, server.URL)...)
			}
			require.Greater(t, len(ours), 100)
			require.Greater(t, len(theirs), 100)
			slices.Sort(ours)
			slices.Sort(theirs)
			a, b := ours[len(ours)/2], theirs[len(theirs)/2]
			t.Logf("median %v of %d calls, vegeta's %v of %d", a, len(ours), b, len(theirs))
			require.GreaterOrEqual(t, a, delay)
			require.InEpsilon(t, b, a, 0.05)
		})
	}
}

// stressed returns how long calls took that were answered in one piece.
func stressed(t *testing.T, target string, seed uint64) (latencies []time.Duration) {
	t.Helper()
	at, err := url.Parse(target)
	require.NoError(t, err)
	load, err := stress.NewLoad(stress.Config{
		Target: at, Tracing: noop.NewTracerProvider(), Profile: stress.Profile{Users: 4, SpawnRate: 100}, MaxRequests: 50, Think: 0.01, Seed: seed,
		Observe: func(c stress.Call) {
			if c.TTFT == 0 {
				latencies = append(latencies, c.End.Sub(c.Start))
			}
		},
	})
	require.NoError(t, err)
	load.Run(t.Context())
	counts := load.Tally().Counts()
	require.Equal(t, counts.Calls, counts.Outcomes[stress.Success])
	return latencies
}

// attacked does the same with vegeta.
func attacked(t *testing.T, target string) (latencies []time.Duration) {
	t.Helper()
	attacker := vegeta.NewAttacker(vegeta.Timeout(10 * time.Second))
	defer attacker.Stop()
	targeter := vegeta.NewStaticTargeter(vegeta.Target{
		Method: http.MethodPost, URL: target + "/v1/chat/completions", Header: http.Header{"Content-Type": {"application/json"}},
		Body: []byte(`{"model":"fake-small","messages":[{"role":"user","content":"why"}]}`),
	})
	for result := range attacker.Attack(targeter, vegeta.Rate{Freq: 40, Per: time.Second}, 750*time.Millisecond, "") {
		require.EqualValues(t, http.StatusOK, result.Code, result.Error)
		latencies = append(latencies, result.Latency)
	}
	return latencies
}
