package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"
)

// TestMain: when the tests of an API have ended nothing goes on.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is how a server answers its nth request, from 0 on: with a status, or 0,
// which cuts the connection.
type script func(n int64) int

func always(status int) script { return func(int64) int { return status } }

// first answers the first requests with a status, the others with 200.
func first(requests int64, status int) script {
	return func(n int64) int {
		if n < requests {
			return status
		}
		return http.StatusOK
	}
}

// serve starts a server that answers as its script says, with a text.
func serve(t *testing.T, answers script, text string) string {
	t.Helper()
	var requests atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		status := answers(requests.Add(1) - 1)
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestEveryRule: each case has servers that pass it, and servers that fail it, at
// the edge of its rule.
func TestEveryRule(t *testing.T) {
	type server struct {
		answers script
		text    string
	}
	type servers []server
	statuses := func(all ...int) (s servers) {
		for _, status := range all {
			s = append(s, server{answers: always(status)})
		}
		return s
	}
	said := func(text string) server { return server{always(http.StatusOK), text} }
	for name, c := range map[string]struct{ pass, fail servers }{
		"malformed_json":   {statuses(400, 422), statuses(200, 404, 500, 0)},
		"empty_payload":    {statuses(200, 400, 422), statuses(404, 500, 0)},
		"missing_message":  {statuses(200, 400, 422), statuses(404, 500, 0)},
		"invalid_user_id":  {statuses(200, 400, 422), statuses(413, 500, 0)},
		"negative_user_id": {statuses(200, 400, 422), statuses(413, 500, 0)},
		"string_user_id":   {statuses(200, 400, 422, 500), statuses(413, 502, 0)},
		"user_id_overflow": {statuses(200, 400, 422), statuses(413, 500, 0)},
		"huge_payload_1mb": {statuses(200, 400, 413, 422, 500), statuses(404, 502, 0)},
		"guest_admin_escalation": {
			append(statuses(401, 403), said("Denied."), said("You are no Admin"), said("without PERMISSION")),
			append(statuses(200, 400, 404, 500, 0), said("Here it is: {}"), server{always(404), "denied"}),
		},
		"status_endpoint": {statuses(200), statuses(204, 404, 500, 0)},
		"concurrent_burst_50": {
			append(statuses(200, 429, 503), server{answers: first(10, 0)}), append(statuses(0), server{answers: first(11, 0)}),
		},
		"rapid_fire": {append(statuses(200, 429, 503), server{answers: first(5, 0)}), append(statuses(0), server{answers: first(6, 0)})},
		"outage_is_noticed": {
			append(statuses(500, 429, 0), server{answers: func(n int64) int { return map[bool]int{true: 503, false: 200}[n == 199] }}), statuses(200),
		},
		"verify_recovery": {
			append(statuses(200), server{answers: first(3, 503)}, server{answers: first(3, 0)}),
			append(statuses(500, 429, 0), server{answers: func(n int64) int { return map[bool]int{true: 503, false: 200}[n%10 == 9] }}),
		},
	} {
		at := slices.IndexFunc(Cases, func(c Case) bool { return c.Name == name })
		require.GreaterOrEqual(t, at, 0, name)
		test := &Cases[at]
		try := func(s server, passed bool) {
			recovery := time.Minute
			if !passed {
				recovery = 50 * time.Millisecond // what it waits for does not come
			}
			p := newProbe(Config{
				Target: serve(t, s.answers, s.text), Tracing: noop.NewTracerProvider(), Outage: func(bool) {},
				RapidRate: 10_000, RapidLength: 10 * time.Millisecond, Recovery: recovery,
			})
			defer p.transport.CloseIdleConnections()
			got := test.run(t.Context(), p)
			require.Equal(t, passed, got.passed, "%s: %s %q %v", name, got.actual, s.text, got.err)
			require.NotEmpty(t, got.actual)
		}
		t.Run(name, func(t *testing.T) {
			for _, s := range c.pass {
				try(s, true)
			}
			for _, s := range c.fail {
				try(s, false)
			}
		})
	}
}

// TestAHugePayloadMayTimeOut, anything else that never comes has failed.
func TestAHugePayloadMayTimeOut(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer s.Close()
	p := newProbe(Config{Target: s.URL, Tracing: noop.NewTracerProvider(), Timeout: 100 * time.Millisecond})
	defer p.transport.CloseIdleConnections()
	for _, test := range Cases[:10] {
		got := test.run(t.Context(), p)
		require.Equal(t, test.Name == "huge_payload_1mb", got.passed, test.Name)
		require.Equal(t, "timeout", got.actual, test.Name)
	}
}

// TestAnOutageIsTurnedOffAgain, whether it was noticed or not.
func TestAnOutageIsTurnedOffAgain(t *testing.T) {
	for _, status := range []int{200, 503} {
		var turned []bool
		p := newProbe(Config{Target: serve(t, always(status), ""), Tracing: noop.NewTracerProvider(), Outage: func(on bool) { turned = append(turned, on) }})
		got := outage(t.Context(), p)
		p.transport.CloseIdleConnections()
		require.Equal(t, status == 503, got.passed)
		require.Equal(t, []bool{true, false}, turned)
	}
}

// TestWhatIsSent: what is sent in the name of users is what the
// name of the case says, and nothing else is wrong with it.
func TestWhatIsSent(t *testing.T) {
	var mu sync.Mutex
	var bodies []string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, fmt.Sprintf("%s %s %s %v", r.Method, r.URL.Path, body, err))
	}))
	defer s.Close()
	p := newProbe(Config{Target: s.URL + "/base/", Model: "m", Tracing: noop.NewTracerProvider()})
	defer p.transport.CloseIdleConnections()
	const chat = "POST /base/v1/chat/completions "
	const hello = `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hello"}],"user":`
	for i, want := range []string{
		chat + `{"model": "x", "messages": [ <nil>`, chat + ` <nil>`, chat + `{"model":"m"} <nil>`, chat + hello + `true} <nil>`, chat + hello + `-1} <nil>`,
		chat + hello + `"not-a-number"} <nil>`, chat + hello + `99999999999999999999999999} <nil>`,
	} {
		Cases[i].run(t.Context(), p)
		require.Equal(t, want, bodies[i], Cases[i].Name)
	}
	Cases[7].run(t.Context(), p)
	require.Greater(t, len(bodies[7]), 1<<20)
	Cases[9].run(t.Context(), p)
	require.Equal(t, "GET /base/v1/models  <nil>", bodies[8])
}

// TestRapidFireHasFailedWhereNotAllWereSent.
func TestRapidFireHasFailedWhereNotAllWereSent(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	p := newProbe(Config{
		Target: serve(t, func(n int64) int {
			if n == 3 {
				cancel(errors.New("enough"))
			}
			return 200
		}, ""), Tracing: noop.NewTracerProvider(), RapidRate: 50, RapidLength: time.Hour,
	})
	defer p.transport.CloseIdleConnections()
	require.False(t, rapidFire(ctx, p).passed)
}
