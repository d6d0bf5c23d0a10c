package stress_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/stress"
)

// scripted answers requests by a list of statuses, and then well. It notes when
// requests came.
type scripted struct {
	mu       sync.Mutex
	statuses []int
	header   http.Header // of those that are refused
	each     func()      // is called for each of those; nil: nothing is
	came     []time.Time
	refused  []time.Time
	model    http.Handler
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.came = append(s.came, time.Now())
	if len(s.statuses) == 0 {
		s.model.ServeHTTP(w, r)
		return
	}
	for name, values := range s.header {
		w.Header()[name] = values
	}
	status := s.statuses[0]
	s.statuses = s.statuses[1:]
	s.refused = append(s.refused, time.Now())
	if s.each != nil {
		s.each()
	}
	w.WriteHeader(status)
}

// run makes calls of one user until so many requests were made, and returns
// them with the spans that tell of them.
func (s *scripted) run(ctx context.Context, t *testing.T, c stress.Config) (calls []stress.Call, counts stress.Counts, spans []sdktrace.ReadOnlySpan) {
	t.Helper()
	s.model = fakellm.New(fakellm.Config{})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	target, err := url.Parse(server.URL)
	require.NoError(t, err)
	recorder := tracetest.NewSpanRecorder()
	c.Target, c.Tracing = target, sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	c.Observe = func(made stress.Call) { calls = append(calls, made) }
	c.Profile = stress.Profile{Users: 1, SpawnRate: 1, Duration: c.Profile.Duration}
	l, err := stress.NewLoad(c)
	require.NoError(t, err)
	l.Run(ctx)
	return calls, l.Tally().Counts(), recorder.Ended()
}

// resendsOn are the counts that spans of a kind of name say, in their order.
func resendsOn(spans []sdktrace.ReadOnlySpan, name string) (all []string) {
	for _, s := range spans {
		if s.Name() != name {
			continue
		}
		said := ""
		for _, a := range s.Attributes() {
			if a.Key == "http.request.resend_count" {
				said = strconv.FormatInt(a.Value.AsInt64(), 10)
			}
		}
		all = append(all, said)
	}
	return all
}

// TestARefusedCallIsMadeAgain: two refusals, then an answer. The call succeeds
// with three attempts, and both it and its requests say so; no attempt comes
// before its pause is over, and the second pause is longer.
func TestARefusedCallIsMadeAgain(t *testing.T) {
	for _, status := range []int{429, 529} {
		s := &scripted{statuses: []int{status, status}}
		calls, counts, spans := s.run(t.Context(), t, stress.Config{MaxRequests: 3, Seed: 1, Models: []string{"m"}})
		require.Len(t, calls, 1)
		require.Equal(t, stress.Success, calls[0].Outcome)
		require.Equal(t, 3, calls[0].Attempts)
		require.EqualValues(t, 3, counts.Attempts)
		require.EqualValues(t, 2, counts.Resends)
		require.Equal(t, []string{"2"}, resendsOn(spans, "chat m"))
		require.Equal(t, []string{"", "1", "2"}, resendsOn(spans, "HTTP POST"))
		// Pauses are 20 and 40 ms, each spread by half of it.
		require.GreaterOrEqual(t, s.came[1].Sub(s.refused[0]), 10*time.Millisecond)
		require.GreaterOrEqual(t, s.came[2].Sub(s.refused[1]), 20*time.Millisecond)
	}
}

// TestACallIsGivenUp after three attempts, and at once where another makes no
// sense.
func TestACallIsGivenUp(t *testing.T) {
	for _, c := range []struct {
		status   int
		outcome  stress.Outcome
		attempts int
	}{
		{429, stress.RateLimited, 3},
		{529, stress.CapacityError, 3},
		{503, stress.ServerError, 3},
		{500, stress.ServerError, 1},
		{400, stress.ClientError, 1},
		{401, stress.ClientError, 1},
	} {
		s := &scripted{statuses: []int{c.status, c.status, c.status, c.status}}
		calls, _, _ := s.run(t.Context(), t, stress.Config{MaxRequests: 1, MaxPause: time.Millisecond})
		require.Equal(t, c.outcome, calls[0].Outcome, c.status)
		require.Equal(t, c.attempts, calls[0].Attempts, c.status)
	}
}

// TestRetryAfterIsHonoured, whatever status asks for it, up to the bound.
func TestRetryAfterIsHonoured(t *testing.T) {
	for _, status := range []int{429, 503, 529} {
		for _, most := range []time.Duration{0, 50 * time.Millisecond} {
			s := &scripted{statuses: []int{status}, header: http.Header{"Retry-After-Ms": {"300"}}}
			calls, _, _ := s.run(t.Context(), t, stress.Config{MaxRequests: 2, MaxPause: time.Millisecond, MaxRetryAfter: most})
			require.Equal(t, stress.Success, calls[0].Outcome)
			want := 300 * time.Millisecond
			if most > 0 {
				want = most
			}
			require.GreaterOrEqual(t, s.came[1].Sub(s.refused[0]), want)
		}
	}
}

// TestAnInjectedTimeoutIsOne: where the model hangs longer than the client waits,
// the call ends in a timeout, and is not made again.
func TestAnInjectedTimeoutIsOne(t *testing.T) {
	var hangs fakellm.Preset
	hangs.PerMillion[fakellm.Timeout] = 1_000_000
	w := newWorld(t, fakellm.Config{Preset: hangs, Hang: time.Hour})
	saw := w.load(t, stress.Config{Profile: stress.Profile{Users: 1, SpawnRate: 1}, MaxRequests: 1, Seed: 1, Timeout: 50 * time.Millisecond}).Tally().Counts()
	require.Equal(t, map[stress.Outcome]int64{stress.ConnectionError: 1}, saw.Outcomes)
	require.EqualValues(t, 1, saw.Attempts)
	require.Equal(t, map[string]int64{"timeout": 1}, counts(t, w.close(t), `SELECT error_type, count(*) FROM requests WHERE category = 'llm' GROUP BY 1`))
}

// TestTheEndOfALoadCutsAPause: an API asks for a minute, and when the load is
// interrupted nobody waits for longer than the grace. The call was refused.
func TestTheEndOfALoadCutsAPause(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	s := &scripted{
		statuses: []int{429}, header: http.Header{"Retry-After": {"60"}},
		each: func() { time.AfterFunc(50*time.Millisecond, interrupt) },
	}
	calls, _, _ := s.run(ctx, t, stress.Config{Profile: stress.Profile{Duration: time.Hour}, Grace: time.Millisecond})
	require.Len(t, calls, 1)
	require.Equal(t, stress.RateLimited, calls[0].Outcome)
	require.Equal(t, 1, calls[0].Attempts)
	require.Len(t, s.came, 1)
}
