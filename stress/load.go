package stress

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// Config is a load.
type Config struct {
	// Target is the API's base, without its /v1.
	Target *url.URL
	// Tracing is where spans go.
	Tracing trace.TracerProvider
	Profile Profile
	// Rate is how many calls begin each second, whatever becomes of the others;
	// 0: the load is closed, and users wait for their answers.
	Rate float64
	// Think scales how long users think: 1 is natural, 0 not at all.
	Think float64
	// Models that are asked for; empty: fake-small and fake-large.
	Models []string
	// EmbeddingModel is what searches ask for; empty: nobody searches.
	EmbeddingModel string
	// Key is sent to Target as a bearer token, and told to nobody; empty: none is.
	Key  string
	Seed uint64
	// Timeout of one HTTP request; 0: 30 seconds.
	Timeout time.Duration
	// Cooldown is how long the circuit stays open; 0: two seconds.
	Cooldown time.Duration
	// MaxPause bounds the pause that grows with refusals and holds back all
	// calls; 0: two seconds.
	MaxPause time.Duration
	// MaxRetryAfter bounds how long a call that was refused waits because the
	// answer asks for it; 0: a minute.
	MaxRetryAfter time.Duration
	// Grace is how long calls that are under way at the end may take; 0: five
	// seconds.
	Grace time.Duration
	// MaxRequests ends the load after so many HTTP requests; 0: no bound. It may
	// be exceeded by those of the calls that are under way.
	MaxRequests int64
	// Observe is called with every call, one at a time; nil: nobody looks.
	Observe func(Call)
}

// Load is a load that runs, or has run.
type Load struct {
	config Config
	tally  *Tally
	users  atomic.Int64 // that are there, or calls under way
}

// Bounds of [Config.Rate], in calls a second.
const (
	MinRate = 0.001
	MaxRate = 1e6
)

// NewLoad returns a load that has not begun.
func NewLoad(c Config) (*Load, error) {
	switch {
	case c.Target == nil || c.Target.Host == "":
		return nil, errors.New("load: a target is missing")
	case c.Profile.Users < 1:
		return nil, errors.New("load: there must be at least one user")
	case c.Profile.SpawnRate <= 0 && c.Rate == 0:
		return nil, errors.New("load: the spawn rate must be above 0")
	case c.Profile.Duration <= 0 && c.MaxRequests == 0:
		return nil, errors.New("load: the duration must be above 0")
	case c.Rate < 0 || c.Think < 0:
		return nil, errors.New("load: neither rate nor think time may be below 0")
	case c.Rate > 0 && !(c.Rate >= MinRate && c.Rate <= MaxRate):
		return nil, fmt.Errorf("load: rate %g: must be between %g and %d a second", c.Rate, MinRate, int(MaxRate))
	}
	if len(c.Models) == 0 {
		c.Models = []string{"fake-small", "fake-large"}
	}
	for _, d := range []struct {
		value   *time.Duration
		natural time.Duration
	}{{&c.Timeout, defaultTimeout}, {&c.Cooldown, cooldown}, {&c.MaxPause, 2 * time.Second}, {&c.MaxRetryAfter, time.Minute}, {&c.Grace, 5 * time.Second}} {
		if *d.value == 0 {
			*d.value = d.natural
		}
	}
	return &Load{config: c, tally: newTally(c.Observe)}, nil
}

// Users returns how many users are there now; of an open load, how many calls
// are under way.
func (l *Load) Users() int64 { return l.users.Load() }

// Tally returns what the clients have seen so far.
func (l *Load) Tally() *Tally { return l.tally }

// Run makes the load until its duration is over or ctx ends, and waits for the
// calls that are under way then.
func (l *Load) Run(ctx context.Context) {
	c := newClient(&l.config, l.tally)
	defer c.close()
	accept, stop := context.WithCancel(ctx)
	defer stop()
	began := time.Now()
	if d := l.config.Profile.Duration; d > 0 {
		accept, stop = context.WithDeadline(accept, began.Add(d))
		defer stop()
	}
	if most := l.config.MaxRequests; most > 0 {
		l.tally.limit(most, stop)
	}
	// Who is under way when the load ends may finish, for a while.
	working, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	context.AfterFunc(accept, func() { time.AfterFunc(l.config.Grace, abandon) })
	if l.config.Rate > 0 {
		l.open(working, accept, c, began)
	} else {
		l.closed(working, accept, c)
	}
}

// closed lets users begin one after another, and waits for them.
func (l *Load) closed(ctx, accept context.Context, c *client) {
	var users sync.WaitGroup
	defer users.Wait()
	spawn := rate.NewLimiter(rate.Limit(l.config.Profile.SpawnRate), 1)
	for number := range l.config.Profile.Users {
		if spawn.Wait(accept) != nil {
			return
		}
		users.Go(func() {
			defer l.users.Add(-1)
			l.users.Add(1)
			newUser(number, &l.config, c).use(ctx, accept)
		})
	}
}

// Starts of an open load that come later than slack after they were due are
// delayed; those that would come later than tooLate are dropped.
const (
	slack       = 5 * time.Millisecond
	tooLate     = 10 * time.Second
	mostWaiting = 1 << 20 // starts; more are dropped at once
)

// open begins calls when they are due. At most as many as there are users are
// under way at once: then the others wait, and it is counted that they did.
// Every call that is due before accept ends is made or dropped.
func (l *Load) open(ctx, accept context.Context, c *client, began time.Time) {
	due := make(chan time.Time, min(int(l.config.Rate*tooLate.Seconds())+1, mostWaiting))
	var workers sync.WaitGroup
	defer workers.Wait()
	defer close(due)
	for number := range l.config.Profile.Users {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(l.config.Seed, uint64(number)))
			for at := range due {
				l.users.Add(1)
				l.begin(ctx, c, random, at)
				l.users.Add(-1)
			}
		})
	}
	n, all := int64(0), l.starts(l.length())
	for ; sleep(accept, time.Until(began.Add(l.due(n)))) && n < all; n++ {
		select {
		case due <- began.Add(l.due(n)):
		default:
			l.drop(1)
		}
	}
	<-accept.Done()
	l.drop(max(l.starts(min(time.Since(began), l.length()))-n, 0)) // were due, and came too late
}

// length is how long the load accepts calls at most.
func (l *Load) length() time.Duration {
	if d := l.config.Profile.Duration; d > 0 {
		return d
	}
	return math.MaxInt64
}

// due is when call n of an open load is due, after its beginning.
func (l *Load) due(n int64) time.Duration {
	ns := float64(n) / l.config.Rate * float64(time.Second)
	if ns >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(ns)
}

// starts is how many calls of an open load are due within a time.
func (l *Load) starts(within time.Duration) int64 {
	n := int64(min(within.Seconds()*l.config.Rate, 1<<53))
	for n > 0 && l.due(n-1) >= within {
		n--
	}
	for n < 1<<53 && l.due(n) < within {
		n++
	}
	return n
}

// drop counts calls that were due and are never made.
func (l *Load) drop(n int64) {
	l.tally.add(func(c *Counts) { c.Dropped += n })
}

// begin makes the call that was due at a time.
func (l *Load) begin(ctx context.Context, c *client, random *rand.Rand, at time.Time) {
	switch late := time.Since(at); {
	case late > tooLate, ctx.Err() != nil:
		l.drop(1)
		return
	case late > slack:
		l.tally.add(func(c *Counts) { c.Delayed++ })
	}
	u := user{random: random, models: l.config.Models}
	c.call(ctx, random, &request{
		operation: "chat", model: u.model(), messages: []message{{Role: "user", Content: u.prompt()}},
		stream: random.IntN(2) == 0, due: at,
	})
}
