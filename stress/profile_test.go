package stress_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/stress"
)

// TestProfiles holds what each profile is.
func TestProfiles(t *testing.T) {
	for _, want := range []stress.Profile{
		{Name: "ramp_up", Users: 1000, SpawnRate: 10, Duration: 5 * time.Minute},
		{Name: "sustained", Users: 1000, SpawnRate: 50, Duration: 10 * time.Minute},
		{Name: "spike", Users: 2000, SpawnRate: 100, Duration: 3 * time.Minute},
		{Name: "soak", Users: 200, SpawnRate: 20, Duration: time.Hour},
		{Name: "quick", Users: 50, SpawnRate: 10, Duration: time.Minute},
	} {
		got, err := stress.ParseProfile(want.Name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := stress.ParseProfile("wild")
	require.EqualError(t, err, `profile "wild": must be one of ramp_up, sustained, spike, soak, quick`)
	_, err = stress.ParseMode("wild")
	require.EqualError(t, err, `mode "wild": must be one of load, chaos, full, quick`)
	for _, m := range stress.Modes {
		got, err := stress.ParseMode(string(m))
		require.NoError(t, err)
		require.Equal(t, m, got)
	}
}
