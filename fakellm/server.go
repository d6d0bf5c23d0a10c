package fakellm

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"
)

// Config says how a [Server] behaves.
type Config struct {
	Preset Preset
	Seed   uint64
	// SlowBy is how long the fault Slow holds an answer up; 0: one second.
	SlowBy time.Duration
	// Hang is how long the fault Timeout keeps a client waiting before the
	// connection is closed; 0: 30 seconds.
	Hang time.Duration
	// TokenEvery is the time between two chunks of a stream, and what each
	// further token adds to a plain answer; 0: none.
	TokenEvery time.Duration
	// RetryAfter is what refused clients are told to wait; 0: nothing is said.
	RetryAfter time.Duration
	// MaxBodyBytes bounds a request; 0: 1 MiB.
	MaxBodyBytes int64
	// Experiment is said on the span of every request with a fault, as
	// chaos.experiment.id; empty: nothing is.
	Experiment string
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Server is the API. It is safe for concurrent use; make one with [New].
type Server struct {
	config Config
	// began is when faults were turned on last: bursts count from then.
	began   atomic.Pointer[time.Time]
	lottery *lottery
	// off stops the injecting of faults; see SetFaults.
	off   atomic.Bool
	truth counters
	mux   *http.ServeMux
}

// New returns a server that injects faults from now on.
func New(c Config) *Server {
	if c.SlowBy == 0 {
		c.SlowBy = time.Second
	}
	if c.Hang == 0 {
		c.Hang = 30 * time.Second
	}
	if c.MaxBodyBytes == 0 {
		c.MaxBodyBytes = 1 << 20
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Server{config: c, mux: http.NewServeMux()}
	now := c.Now()
	s.began.Store(&now)
	s.lottery = newLottery(&s.config)
	s.mux.HandleFunc("POST /v1/chat/completions", s.serve(chat))
	s.mux.HandleFunc("POST /v1/embeddings", s.serve(embed))
	s.mux.HandleFunc("POST /openai/deployments/{deployment}/chat/completions", s.serve(chat))
	s.mux.HandleFunc("POST /openai/deployments/{deployment}/embeddings", s.serve(embed))
	s.mux.HandleFunc("GET /v1/models", listModels)
	s.mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, "invalid_request_error", "unknown_url", "unknown request URL: "+r.Method+" "+r.URL.Path)
	})
	return s
}

// SetFaults turns the injecting of faults on or off. Latency stays. What was off
// begins anew: bursts count from then.
func (s *Server) SetFaults(on bool) {
	if on && s.off.Load() {
		now := s.config.Now()
		s.began.Store(&now)
	}
	s.off.Store(!on)
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Route returns the pattern of the path that a request would take, for the name
// of its span; empty where there is none.
func (s *Server) Route(r *http.Request) string {
	_, pattern := s.mux.Handler(r)
	if pattern == "/" {
		return ""
	}
	return pattern
}

// operation answers requests of one kind: it reads what was asked, and returns
// an answer, or the error that the request deserves.
type operation func(r *http.Request, body []byte, seed uint64) (answer, *requestError)

// answer is what a request without a fault gets.
type answer interface {
	// write writes the answer; d says when and how.
	write(d *delivery) error
}

// serve answers requests with an operation, unless a fault is drawn.
func (s *Server) serve(op operation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, bad := s.read(w, r)
		drawn := s.lottery.draw(s.config.Now().Sub(*s.began.Load()))
		if s.off.Load() {
			drawn.fault, drawn.held = NoFault, 0
		}
		var made answer
		if bad == nil {
			made, bad = op(r, body, drawn.seed)
		}
		if bad != nil {
			// What is wrong with the request is no fault of ours.
			s.truth.refused()
			bad.write(w)
			return
		}
		s.truth.count(drawn.fault)
		mark(r.Context(), drawn, s.config.Experiment)
		s.answer(w, r, drawn, made)
	}
}

// answer waits for as long as the lot says, and answers as it says.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, drawn lot, made answer) {
	d := &delivery{w: w, ctx: r.Context(), fault: drawn.fault, tokenEvery: s.config.TokenEvery}
	switch {
	case drawn.fault == Timeout:
		_ = wait(r.Context(), s.config.Hang) // its end is told either way
		panic(http.ErrAbortHandler)
	case wait(r.Context(), drawn.latency+drawn.held) != nil:
		panic(http.ErrAbortHandler) // the client has left
	case drawn.fault == Reset:
		reset(w)
	case drawn.fault.Status() != http.StatusOK:
		s.refuse(w, drawn.fault)
	case made.write(d) != nil:
		panic(http.ErrAbortHandler)
	}
}

// wait waits, or returns an error where ctx ends first.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errTruncated ends an answer in its middle.
var errTruncated = errors.New("the answer is cut")
