package stress

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// TestThePauseGrowsAndShrinks: it doubles with every refusal, up to its bound,
// and shrinks by a step with every answer, down to nothing.
func TestThePauseGrowsAndShrinks(t *testing.T) {
	const ms = time.Millisecond
	p := pace{longest: 100 * ms}
	refused := func(retryAfter time.Duration) func() { return func() { p.refused(retryAfter) } }
	for i, step := range []struct {
		what func()
		want time.Duration
	}{
		{func() {}, 0},
		{p.answered, 0},
		{refused(0), firstPause},
		{refused(0), 2 * firstPause},
		{refused(0), 4 * firstPause},
		{refused(0), 100 * ms},
		{p.answered, 90 * ms},
		{p.answered, 80 * ms},
		{refused(0), 100 * ms},
		{refused(time.Hour), 100 * ms},
		{func() {
			for range 9 {
				p.answered()
			}
		}, 10 * ms},
		{p.answered, 0},
		{p.answered, 0},
		{refused(70 * ms), 70 * ms},
		{refused(5 * ms), 100 * ms},
	} {
		step.what()
		require.Equal(t, step.want, p.current(), "step %d", i)
	}
}

// TestJitterSpreadsAPause evenly from half of it to half more.
func TestJitterSpreadsAPause(t *testing.T) {
	random := seedtest.Rand(t)
	require.Zero(t, jitter(random, 0))
	var sum time.Duration
	const draws = 10_000
	for range draws {
		d := jitter(random, time.Second)
		require.GreaterOrEqual(t, d, 500*time.Millisecond)
		require.Less(t, d, 1500*time.Millisecond)
		sum += d
	}
	require.InDelta(t, float64(time.Second), float64(sum)/draws, float64(20*time.Millisecond))
}

// TestRetryAfter: seconds, milliseconds and dates, the latter by the clock of
// whoever wrote them.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for _, c := range []struct {
		after, ms, date string
		want            time.Duration
	}{
		{"", "", "", 0},
		{"2", "", "", 2 * time.Second},
		{"1.5", "", "", 1500 * time.Millisecond},
		{"2", "150", "", 150 * time.Millisecond},
		{"2", "0", "", 2 * time.Second},
		{"2", "soon", "", 2 * time.Second},
		{"0", "", "", 0},
		{"-3", "", "", 0},
		{"NaN", "", "", 0},
		{"+Inf", "", "", longestRetry},
		{"99999999999999999999", "", "", longestRetry},
		{"soon", "", "", 0},
		{"Wed, 04 Mar 2026 05:06:37 GMT", "", "", 30 * time.Second},
		{"Wednesday, 04-Mar-26 05:06:37 GMT", "", "", 30 * time.Second},
		{"Wed, 04 Mar 2026 05:06:37 GMT", "", "Wed, 04 Mar 2026 05:06:35 GMT", 2 * time.Second},
		{"Wed, 04 Mar 2026 05:06:37 GMT", "", "yesterday", 30 * time.Second},
		{"Wed, 04 Mar 2026 05:06:00 GMT", "", "", 0},
		{"Wed, 04 Mar 2099 05:06:00 GMT", "", "", longestRetry},
	} {
		h := http.Header{}
		h.Set("Retry-After", c.after)
		h.Set("Retry-After-Ms", c.ms)
		h.Set("Date", c.date)
		require.Equal(t, c.want, retryAfter(h, now), "%+v", c)
	}
}
