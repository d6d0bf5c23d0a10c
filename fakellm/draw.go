package fakellm

import (
	"math/rand/v2"
	"sync"
	"time"
)

const million = 1_000_000

// lot is what was drawn for one request.
type lot struct {
	fault Fault
	// latency is until the first byte; held is added to it by a fault.
	latency, held time.Duration
	// seed makes the text of the answer.
	seed uint64
}

// lottery draws lots. It is safe for concurrent use; in which order requests
// come is then up to them.
type lottery struct {
	mu     sync.Mutex
	random *rand.Rand
	config *Config
}

func newLottery(c *Config) *lottery {
	return &lottery{random: rand.New(rand.NewPCG(c.Seed, 0x5bd1e995)), config: c}
}

// draw draws for a request at a time since faults were turned on.
func (l *lottery) draw(elapsed time.Duration) lot {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.config.Preset
	drawn := lot{fault: l.fault(p, elapsed), seed: l.random.Uint64()}
	drawn.latency = p.Latency
	if p.Jitter > 0 {
		drawn.latency += time.Duration(l.random.Int64N(int64(2*p.Jitter)+1)) - p.Jitter
	}
	drawn.latency = max(drawn.latency, 0)
	if drawn.fault == Slow {
		drawn.held = l.config.SlowBy
	}
	return drawn
}

// fault draws at most one.
func (l *lottery) fault(p *Preset, elapsed time.Duration) Fault {
	if p.Burst.on(elapsed) {
		if l.random.IntN(million) < p.Burst.RateLimitedPerMillion {
			return RateLimited
		}
		if l.random.IntN(million) < p.Burst.OverloadedPerMillion {
			return Overloaded
		}
	}
	at := l.random.IntN(million)
	for f, perMillion := range p.PerMillion {
		if at < perMillion {
			return Fault(f)
		}
		at -= perMillion
	}
	return NoFault
}
