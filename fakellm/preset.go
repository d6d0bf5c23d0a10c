package fakellm

import (
	"fmt"
	"strings"
	"time"
)

// Preset says how often which fault happens, and how long answers take.
type Preset struct {
	Name string
	// PerMillion requests outside bursts that have a fault, by fault; the sum is
	// at most a million.
	PerMillion [NumFaults]int
	// An answer's first byte comes after Latency ± Jitter, uniformly.
	Latency, Jitter time.Duration
	Burst           Burst
}

// Burst is a time in which a provider refuses most requests. The zero value is
// none.
type Burst struct {
	// One begins every Interval, the first at once, and lasts for Length.
	Interval, Length time.Duration
	// In one, so many requests per million are refused with 429, and of the
	// others so many with 529.
	RateLimitedPerMillion, OverloadedPerMillion int
}

// on tells whether there is a burst at a time since faults were turned on.
func (b Burst) on(elapsed time.Duration) bool {
	return b.Interval > 0 && elapsed%b.Interval < b.Length
}

// rates writes percentages in the order of the columns of the table below.
func rates(percent ...float64) (perMillion [NumFaults]int) {
	columns := []Fault{
		RateLimited, Overloaded, Unavailable, InternalError, BadGateway, GatewayTimeout,
		Forbidden, NotFound, Timeout, Reset, Slow, InvalidJSON, Truncated, EmptyBody, MissingFields, WrongContentType,
	}
	for i, p := range percent {
		perMillion[columns[i]] = int(p*10_000 + 0.5)
	}
	return perMillion
}

func bursts(interval, length time.Duration, rateLimited, overloaded int) Burst {
	return Burst{interval * time.Second, length * time.Second, rateLimited * 10_000, overloaded * 10_000}
}

const ms = time.Millisecond

// Presets are the known ones, from the mildest.
var Presets = []Preset{
	//                              429    529    503    500    502   504    403    404   time  reset  slow   json  trunc  empty miss  type
	{"silent", rates(), 10 * ms, 5 * ms, Burst{}},
	{"gentle", rates(1, .5, .5), 50 * ms, 20 * ms, Burst{}},
	{"realistic", rates(5, 2, .5, .2, .1, .2, 0, 0, .2, .1, 1, .1, .1, 0, .1), 100 * ms, 50 * ms, bursts(60, 5, 50, 30)},
	{"stress_aimd", rates(15, 5, 2, .5, .2, .3, 0, 0, 0, 0, .5), 30 * ms, 15 * ms, bursts(30, 5, 80, 50)},
	{"stress_extreme", rates(20, 10, 3, 5, 1, 1, 0, 0, 0, 0, 0, 3, 2), 10 * ms, 5 * ms, bursts(15, 5, 90, 70)},
	{
		"chaos",
		rates(6.25, 3.125, 1.875, 1.875, 1.25, 1.25, .625, .625, 1.25, .9375, 1.875, 1.25, .9375, .625, .625, .625),
		100 * ms, 100 * ms, bursts(20, 8, 90, 70),
	},
}

// ParsePreset returns the preset of a name.
func ParsePreset(name string) (Preset, error) {
	var names []string
	for _, p := range Presets {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Preset{}, fmt.Errorf("preset %q: must be one of %s", name, strings.Join(names, ", "))
}
