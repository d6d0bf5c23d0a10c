package reliabilitytest

import (
	"os"
	"testing"
	"time"
)

// tierVariable switches the long tier on: SPANBUCKET_TIER=long.
const tierVariable = "SPANBUCKET_TIER"

// long tells whether the tests run for as long as the promised figures ask for.
// Otherwise the same code runs for less time.
func long() bool { return os.Getenv(tierVariable) == "long" }

// beside lets a test of the quick tier run beside others of its kind: those
// whose faults happen in processes and files of their own.
func beside(t *testing.T) {
	if !long() && os.Getenv(soakVariable) == "" {
		t.Parallel()
	}
}

// soakVariable says how long the soak lasts, such as 20m.
const soakVariable = "SPANBUCKET_SOAK"

// sizes are how much of everything a tier does.
type sizes struct {
	killRounds, killCycles int // files, and kills of each
	controlCycles          int
	seeds, ways            int // metamorphic
	locks                  []time.Duration
	fills                  int
	flips                  int // of the file, and as many of its log
	shutdowns              int
}

func tier() sizes {
	if long() {
		return sizes{
			killRounds: 10, killCycles: 20, controlCycles: 12, seeds: 500, ways: 2,
			locks: []time.Duration{time.Second, 10 * time.Second, time.Minute},
			fills: 20, flips: 100, shutdowns: 100,
		}
	}
	return sizes{
		killRounds: 2, killCycles: 6, controlCycles: 4, seeds: 4, ways: 3,
		locks: []time.Duration{time.Second}, fills: 3, flips: 20, shutdowns: 8,
	}
}
