package tables

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTimes(t *testing.T) {
	require.Equal(t, "10:01:02", Time("2026-01-30T10:01:02Z", true))
	require.Equal(t, "2026-01-30 10:01:02", Time("2026-01-30T10:01:02Z", false))
	require.Equal(t, "", Time("", true))
	require.Equal(t, "soon", Time("soon", false))
	for length, want := range map[time.Duration]string{
		1234567 * time.Nanosecond: "1ms", 1234 * time.Millisecond: "1.2s", 83*time.Second + time.Millisecond: "1m23s", time.Hour: "1h",
	} {
		require.Equal(t, want, Length(length.Nanoseconds()))
	}
	for seconds, want := range map[int64]string{0: "0s", 45: "45s", 60: "1m", 90: "1m30s", 3600: "1h", 5400: "1h30m", 86400: "24h"} {
		require.Equal(t, want, Seconds(seconds))
	}
}
