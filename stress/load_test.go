package stress_test

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/storage"
	"github.com/spanbucket/spanbucketexporter/stress"
)

// TestPercentilesAreTheClientsOwn: those of the file are within 0.79 % of the
// exact ones of what the clients measured.
func TestPercentilesAreTheClientsOwn(t *testing.T) {
	preset := fakellm.Preset{Latency: 15 * time.Millisecond, Jitter: 10 * time.Millisecond}
	w := newWorld(t, fakellm.Config{Preset: preset, Seed: 1, TokenEvery: 100 * time.Microsecond})
	var exact []int64
	var sum int64
	w.load(t, stress.Config{
		Profile: stress.Profile{Users: 50, SpawnRate: 10_000}, MaxRequests: 4000, Seed: 1,
		Observe: func(c stress.Call) {
			exact = append(exact, c.End.UnixNano()-c.Start.UnixNano())
			sum += exact[len(exact)-1]
		},
	})
	w.close(t)
	slices.Sort(exact)
	r, err := storage.OpenReader(t.Context(), w.path)
	require.NoError(t, err)
	defer r.Close()
	q := analysis.LatencyQuery{Query: analysis.Query{Now: time.Now(), IncludeOpen: true}}
	for _, name := range []string{"p1", "p50", "p90", "p95", "p99", "p99.9"} {
		p, err := analysis.ParsePercentile(name)
		require.NoError(t, err)
		q.Percentiles = append(q.Percentiles, p)
	}
	var answer *analysis.Latency
	require.NoError(t, r.View(t.Context(), func(tx *sql.Tx) (err error) {
		answer, err = analysis.AskLatency(t.Context(), tx, q)
		return err
	}))
	require.Len(t, answer.Rows, 1)
	got := answer.Rows[0].Latency
	require.EqualValues(t, len(exact), got.Count)
	require.Equal(t, sum, *got.SumNS)
	require.InDelta(t, float64(exact[0])/1e6, *got.MinMS, 0)
	require.InDelta(t, float64(exact[len(exact)-1])/1e6, *got.MaxMS, 0)
	for _, p := range q.Percentiles {
		rank := (len(exact)*int(p.Ratio.Num) + int(p.Ratio.Den) - 1) / int(p.Ratio.Den)
		want := float64(exact[rank-1]) / 1e6
		require.InDelta(t, want, *got.Percentiles.Get(p.Name), want/128, p.Name)
	}
}

// slow answers every request after a while, and counts those under way.
func slow(t *testing.T, takes func(n int64) time.Duration) (target *url.URL, most *atomic.Int64) {
	t.Helper()
	var n, now atomic.Int64
	most = &atomic.Int64{}
	model := fakellm.New(fakellm.Config{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer now.Add(-1)
		for at := now.Add(1); ; {
			if seen := most.Load(); at <= seen || most.CompareAndSwap(seen, at) {
				break
			}
		}
		body, _ := io.ReadAll(r.Body) // or nobody notices that the client leaves
		r.Body = io.NopCloser(bytes.NewReader(body))
		select {
		case <-time.After(takes(n.Add(1))):
			model.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	target, err := url.Parse(s.URL)
	require.NoError(t, err)
	return target, most
}

// TestAnOpenLoadCountsFromWhenACallWasDue: a server that stands still for half a
// second delays every call that is due meanwhile, and each says so. A closed load
// on the same server shows one slow call for each user: that is the control.
func TestAnOpenLoadCountsFromWhenACallWasDue(t *testing.T) {
	const standstill, users = 500 * time.Millisecond, 2
	run := func(rate float64) (waiting int, counts stress.Counts) {
		var stands sync.Mutex // one request at a time
		var from time.Time
		target, _ := slow(t, func(n int64) time.Duration {
			stands.Lock()
			defer stands.Unlock()
			if n == 20 {
				from = time.Now()
				time.Sleep(standstill)
			}
			return 0
		})
		var calls []stress.Call
		l, err := stress.NewLoad(stress.Config{
			Target: target, Tracing: noop.NewTracerProvider(), Rate: rate, Profile: stress.Profile{Users: users, SpawnRate: 1000}, MaxRequests: 120,
			Think: 0.002, Seed: 3, Grace: time.Hour, Observe: func(c stress.Call) { calls = append(calls, c) },
		})
		require.NoError(t, err)
		l.Run(t.Context())
		end := from.Add(standstill)
		for _, c := range calls {
			if c.Start.Before(end) && c.End.After(end) {
				waiting++
			}
		}
		return waiting, l.Tally().Counts()
	}
	open, counts := run(100)
	require.GreaterOrEqual(t, open, 45, "of the 50 calls that were due meanwhile")
	require.GreaterOrEqual(t, counts.Delayed, int64(45))
	closed, counts := run(0)
	require.LessOrEqual(t, closed, users, "a user waits, and asks nothing meanwhile")
	require.Zero(t, counts.Delayed)
}

// TestEveryStartOfAnOpenLoadIsCounted: a hundred a second for a second, made or
// dropped, whatever the server and the machine do.
func TestEveryStartOfAnOpenLoadIsCounted(t *testing.T) {
	for _, users := range []int{1, 50} {
		target, _ := slow(t, func(int64) time.Duration { return 30 * time.Millisecond })
		l, err := stress.NewLoad(stress.Config{
			Target: target, Tracing: noop.NewTracerProvider(), Rate: 100, Grace: time.Millisecond, Profile: stress.Profile{Users: users, Duration: time.Second},
		})
		require.NoError(t, err)
		l.Run(t.Context())
		counts := l.Tally().Counts()
		require.EqualValues(t, 100, counts.Calls+counts.Dropped, "%+v", counts)
		require.Positive(t, counts.Calls)
		if users == 1 {
			require.Positive(t, counts.Dropped, "one after the other, each takes 30 ms")
		}
	}
}

// TestAnOpenLoadDropsWhatCannotBegin, and counts it: three users wait for
// answers that never come, and a tenth of a second later the load ends.
func TestAnOpenLoadDropsWhatCannotBegin(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	target, most := slow(t, func(n int64) time.Duration {
		if n == 3 {
			time.AfterFunc(100*time.Millisecond, interrupt)
		}
		return time.Hour
	})
	l, err := stress.NewLoad(stress.Config{
		Target: target, Tracing: noop.NewTracerProvider(), Rate: 500, Grace: time.Millisecond,
		Profile: stress.Profile{Users: 3, Duration: time.Hour},
	})
	require.NoError(t, err)
	l.Run(ctx)
	counts := l.Tally().Counts()
	require.Equal(t, map[stress.Outcome]int64{stress.Cancelled: 3}, counts.Outcomes, "those under way, which nobody waits for longer than the grace")
	require.GreaterOrEqual(t, counts.Dropped, int64(49))
	require.LessOrEqual(t, most.Load(), int64(3))
}

// TestUsersComeAtTheirRate: none before it is due, and all of them.
func TestUsersComeAtTheirRate(t *testing.T) {
	const users, perSecond = 12, 40
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var mu sync.Mutex
	var came []time.Duration
	var there int64
	var l *stress.Load
	began := time.Now()
	target, most := slow(t, func(int64) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		if came = append(came, time.Since(began)); len(came) == users {
			there = l.Users()
			interrupt()
		}
		return time.Hour
	})
	l, err := stress.NewLoad(stress.Config{
		Target: target, Tracing: noop.NewTracerProvider(), Profile: stress.Profile{Users: users, SpawnRate: perSecond, Duration: time.Hour}, Grace: time.Millisecond,
	})
	require.NoError(t, err)
	l.Run(ctx)
	require.EqualValues(t, users, there)
	require.Zero(t, l.Users())
	require.EqualValues(t, users, most.Load())
	for n, at := range came {
		require.GreaterOrEqual(t, at, time.Duration(n)*time.Second/perSecond)
	}
}

// TestAnInterruptEndsTheLoad at once, but for what is under way.
func TestAnInterruptEndsTheLoad(t *testing.T) {
	target, _ := slow(t, func(int64) time.Duration { return 20 * time.Millisecond })
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	l, err := stress.NewLoad(stress.Config{
		Target: target, Tracing: noop.NewTracerProvider(), Profile: stress.Profile{Users: 5, SpawnRate: 1000, Duration: time.Hour}, Grace: time.Hour,
		Observe: func(stress.Call) { interrupt() },
	})
	require.NoError(t, err)
	l.Run(ctx)
	counts := l.Tally().Counts()
	require.Equal(t, map[stress.Outcome]int64{stress.Success: counts.Calls}, counts.Outcomes, "who is under way may finish")
	require.LessOrEqual(t, counts.Calls, int64(2*5), "nobody asks again, but agents who were told to call a tool")
}

// TestLoadsThatMakeNoSense are refused.
func TestLoadsThatMakeNoSense(t *testing.T) {
	target := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	good := stress.Config{Target: target, Tracing: noop.NewTracerProvider(), Profile: stress.Profile{Users: 1, SpawnRate: 1, Duration: 1}}
	for want, change := range map[string]func(*stress.Config){
		"":         func(*stress.Config) {},
		"target":   func(c *stress.Config) { c.Target = nil },
		"user":     func(c *stress.Config) { c.Profile.Users = 0 },
		"spawn":    func(c *stress.Config) { c.Profile.SpawnRate = 0 },
		"duration": func(c *stress.Config) { c.Profile.Duration = 0 },
		"rate nor": func(c *stress.Config) { c.Rate = -1 },
		"nor thin": func(c *stress.Config) { c.Think = -1 },
	} {
		c := good
		change(&c)
		_, err := stress.NewLoad(c)
		if want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
}
