package stress

import (
	"context"
	"sync"
	"time"
)

// pace holds back the calls to one provider after it refused some: the pause
// before a call doubles with every refusal, is no shorter than what the provider
// asked for, and shrinks by a step with every answer (additive increase of the
// rate, multiplicative decrease). It never exceeds longest. It is safe for
// concurrent use.
type pace struct {
	longest time.Duration
	mu      sync.Mutex
	pause   time.Duration
}

const (
	firstPause = 20 * time.Millisecond
	pauseStep  = 10 * time.Millisecond
)

// refused notes that the provider had too much, and what it asked for.
func (p *pace) refused(retryAfter time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pause = min(max(2*p.pause, firstPause, retryAfter), p.longest)
}

func (p *pace) answered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pause = max(p.pause-pauseStep, 0)
}

func (p *pace) current() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pause
}

// sleep waits, or returns false where ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
