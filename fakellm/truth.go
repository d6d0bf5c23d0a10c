package fakellm

import "sync"

// Truth is what became of the requests that a server was sent.
type Truth struct {
	// Answered requests, those with a fault included.
	Answered int64
	// Injected faults, by fault; [NoFault] counts the answers without one.
	Injected [NumFaults]int64
	// Refused requests were wrong themselves, or broke off.
	Refused int64
}

type counters struct {
	mu sync.Mutex
	Truth
}

func (c *counters) count(f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Answered++
	c.Injected[f]++
}

func (c *counters) refused() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Refused++
}

// Truth returns the counts so far. A request is counted before it is answered.
func (s *Server) Truth() Truth {
	s.truth.mu.Lock()
	defer s.truth.mu.Unlock()
	return s.truth.Truth
}
