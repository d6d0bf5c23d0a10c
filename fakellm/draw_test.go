package fakellm

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPresetsInjectTheirRates: over a million draws outside bursts every fault
// comes as often as the preset says, within five standard deviations.
func TestPresetsInjectTheirRates(t *testing.T) {
	want := map[string]map[Fault]float64{ // per cent
		"silent":         {},
		"gentle":         {RateLimited: 1, Overloaded: .5, Unavailable: .5},
		"realistic":      {RateLimited: 5, Overloaded: 2, Unavailable: .5, InternalError: .2, BadGateway: .1, GatewayTimeout: .2, Timeout: .2, Reset: .1, Slow: 1, InvalidJSON: .1, Truncated: .1, MissingFields: .1},
		"stress_aimd":    {RateLimited: 15, Overloaded: 5, Unavailable: 2, InternalError: .5, BadGateway: .2, GatewayTimeout: .3, Slow: .5},
		"stress_extreme": {RateLimited: 20, Overloaded: 10, Unavailable: 3, InternalError: 5, BadGateway: 1, GatewayTimeout: 1, InvalidJSON: 3, Truncated: 2},
		"chaos": {
			RateLimited: 6.25, Overloaded: 3.125, Unavailable: 1.875, InternalError: 1.875, BadGateway: 1.25, GatewayTimeout: 1.25, Forbidden: .625, NotFound: .625,
			Timeout: 1.25, Reset: .9375, Slow: 1.875, InvalidJSON: 1.25, Truncated: .9375, EmptyBody: .625, MissingFields: .625, WrongContentType: .625,
		},
	}
	require.Len(t, Presets, len(want))
	for _, preset := range Presets {
		l := newLottery(&Config{Preset: preset, Seed: 3})
		const draws = 1_000_000
		var got [NumFaults]int
		quiet := preset.Burst.Length // of a burst: what follows is none
		for range draws {
			got[l.draw(quiet).fault]++
		}
		for f := RateLimited; f < NumFaults; f++ {
			p := want[preset.Name][f] / 100
			require.InDelta(t, draws*p, got[f], 5*math.Sqrt(draws*p*(1-p)), "%s: %s", preset.Name, f)
		}
	}
}

// TestBursts: in one most requests are refused, and one comes every interval.
func TestBursts(t *testing.T) {
	preset, err := ParsePreset("chaos") // every 20 s for 8 s: 90 % 429, of the others 70 % 529
	require.NoError(t, err)
	l := newLottery(&Config{Preset: preset, Seed: 5})
	for second := range 60 {
		const draws = 10_000
		var got [NumFaults]int
		for range draws {
			got[l.draw(time.Duration(second)*time.Second).fault]++
		}
		if second%20 < 8 {
			require.InDelta(t, draws*.9+draws*.03*.0625, got[RateLimited], 200, "second %d", second)
			require.InDelta(t, draws*.07, got[Overloaded], 150, "second %d", second)
		} else {
			require.InDelta(t, draws*.0625, got[RateLimited], 150, "second %d", second)
		}
	}
}

// TestLatencyIsWithinItsJitter, and is drawn evenly.
func TestLatencyIsWithinItsJitter(t *testing.T) {
	for _, preset := range Presets {
		l := newLottery(&Config{Preset: preset, Seed: 1, SlowBy: time.Second})
		var sum time.Duration
		const draws = 100_000
		for range draws {
			drawn := l.draw(time.Minute)
			require.GreaterOrEqual(t, drawn.latency, preset.Latency-preset.Jitter)
			require.LessOrEqual(t, drawn.latency, preset.Latency+preset.Jitter)
			require.Equal(t, drawn.fault == Slow, drawn.held > 0)
			sum += drawn.latency
		}
		require.InDelta(t, float64(preset.Latency), float64(sum)/draws, float64(preset.Jitter)/100+1, preset.Name)
	}
}

// TestTheSameSeedDrawsTheSame, and another does not.
func TestTheSameSeedDrawsTheSame(t *testing.T) {
	preset, err := ParsePreset("chaos")
	require.NoError(t, err)
	draw := func(seed uint64) (all [100]lot) {
		l := newLottery(&Config{Preset: preset, Seed: seed})
		for i := range all {
			all[i] = l.draw(time.Duration(i) * time.Second)
		}
		return all
	}
	require.Equal(t, draw(1), draw(1))
	require.NotEqual(t, draw(1), draw(2))
}

func TestUnknownPreset(t *testing.T) {
	_, err := ParsePreset("wild")
	require.EqualError(t, err, `preset "wild": must be one of silent, gentle, realistic, stress_aimd, stress_extreme, chaos`)
}
