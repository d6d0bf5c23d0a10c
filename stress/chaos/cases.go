package chaos

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Case is a named test.
type Case struct {
	Name string
	// Expected is the rule by which it passes.
	Expected    string
	needsOutage bool
	run         func(context.Context, *probe) seen
}

// burst is how many requests concurrent_burst_50 sends at once.
const burst = 50

// Cases are all of them, in the order in which they run: those that break the
// API come last.
var Cases = []Case{
	{Name: "malformed_json", Expected: "400 or 422", run: wrong(`{"model": "x", "messages": [`)},
	{Name: "empty_payload", Expected: "400 or 422", run: wrong(``)},
	{Name: "missing_message", Expected: "400 or 422", run: func(ctx context.Context, p *probe) seen {
		status, err := p.chat(ctx, fmt.Sprintf(`{"model":%q}`, p.config.Model))
		return oneOf(status, err, http.StatusBadRequest, http.StatusUnprocessableEntity)
	}},
	{Name: "invalid_user_id", Expected: "200, 400 or 422", run: user(`true`)},
	{Name: "negative_user_id", Expected: "200, 400 or 422", run: user(`-1`)},
	{Name: "string_user_id", Expected: "200, 400 or 422", run: user(`"not-a-number"`)},
	{Name: "user_id_overflow", Expected: "200, 400 or 422", run: user(`99999999999999999999999999`)},
	{Name: "huge_payload_1mb", Expected: "200, 400, 413, 422 or timeout", run: huge},
	{Name: "guest_admin_escalation", Expected: "401, 403 or 404", run: func(ctx context.Context, p *probe) seen {
		status, err := p.send(ctx, http.MethodPost, "/admin/config", `{"role":"admin"}`, "X-User-Role", "admin")
		return oneOf(status, err, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound)
	}},
	{Name: "status_endpoint", Expected: "200", run: func(ctx context.Context, p *probe) seen {
		status, err := p.send(ctx, http.MethodGet, "/v1/models", "")
		return oneOf(status, err, http.StatusOK)
	}},
	{Name: "concurrent_burst_50", Expected: "at least 80 % are answered", run: concurrentBurst},
	{Name: "rapid_fire", Expected: "at least 95 % are answered", run: rapidFire},
	{Name: "outage_is_noticed", Expected: "an error within 200 requests", needsOutage: true, run: outage},
	{Name: "verify_recovery", Expected: "10 answers in a row", needsOutage: true, run: recovery},
}

// wrong sends a body that must be refused.
func wrong(body string) func(context.Context, *probe) seen {
	return func(ctx context.Context, p *probe) seen {
		status, err := p.chat(ctx, body)
		return oneOf(status, err, http.StatusBadRequest, http.StatusUnprocessableEntity)
	}
}

// user sends a request in the name of a user.
func user(id string) func(context.Context, *probe) seen {
	return func(ctx context.Context, p *probe) seen {
		status, err := p.chat(ctx, p.hello(`,"user":`+id))
		return oneOf(status, err, http.StatusOK, http.StatusBadRequest, http.StatusUnprocessableEntity)
	}
}

// huge sends a prompt of more than a megabyte.
func huge(ctx context.Context, p *probe) seen {
	body := strings.Replace(p.hello(""), "hello", strings.Repeat("many words ", 100_000), 1)
	status, err := p.chat(ctx, body)
	if err != nil && describe(err) == "timeout" {
		return seen{passed: true, actual: "timeout"}
	}
	return oneOf(status, err, http.StatusOK, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity)
}

// concurrentBurst sends 50 requests at once.
func concurrentBurst(ctx context.Context, p *probe) seen {
	var answered atomic.Int64
	var requests sync.WaitGroup
	for range burst {
		requests.Go(func() {
			if status, err := p.chat(ctx, p.hello("")); err == nil && status != 0 {
				answered.Add(1)
			}
		})
	}
	requests.Wait()
	n := answered.Load()
	return seen{passed: n*100 >= burst*80, actual: fmt.Sprintf("%d of %d", n, burst)}
}

// rapidFire sends requests at a rate that does not wait for answers.
func rapidFire(ctx context.Context, p *probe) seen {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	limit := rate.NewLimiter(rate.Limit(p.config.RapidRate), 1)
	total := int(float64(p.config.RapidRate) * p.config.RapidLength.Seconds())
	var answered atomic.Int64
	var requests sync.WaitGroup
	sent := 0
	for ; sent < total && limit.Wait(ctx) == nil; sent++ {
		requests.Go(func() {
			if status, err := p.chat(ctx, p.hello("")); err == nil && status != 0 {
				answered.Add(1)
			}
		})
	}
	requests.Wait()
	n := answered.Load()
	return seen{passed: sent == total && n*100 >= int64(total)*95, actual: fmt.Sprintf("%d of %d", n, total)}
}

// outage turns faults on until a request fails.
func outage(ctx context.Context, p *probe) seen {
	p.config.Outage(true)
	defer p.config.Outage(false)
	for n := 1; n <= 200; n++ {
		if status, err := p.chat(ctx, p.hello("")); err != nil || status != http.StatusOK {
			return seen{passed: true, actual: fmt.Sprintf("request %d", n)}
		}
	}
	return seen{actual: "none"}
}

// recovery waits until requests are answered again.
func recovery(ctx context.Context, p *probe) seen {
	began, inRow := time.Now(), 0
	for time.Since(began) < p.config.Recovery && ctx.Err() == nil {
		if status, err := p.chat(ctx, p.hello("")); err == nil && status == http.StatusOK {
			inRow++
		} else {
			inRow = 0
		}
		if inRow == 10 {
			return seen{passed: true, actual: "yes"}
		}
	}
	return seen{actual: fmt.Sprintf("%d in a row", inRow)}
}
