package stress

import (
	"fmt"
	"strings"
	"time"
)

// Profile is how much load comes how fast.
type Profile struct {
	Name string
	// Users at the height of the load.
	Users int
	// SpawnRate is how many users begin each second until all are there.
	SpawnRate float64
	// Duration of the load, from its first user on.
	Duration time.Duration
}

// Profiles are the known ones.
var Profiles = []Profile{
	{"ramp_up", 1000, 10, 5 * time.Minute},
	{"sustained", 1000, 50, 10 * time.Minute},
	{"spike", 2000, 100, 3 * time.Minute},
	{"soak", 200, 20, time.Hour},
	{"quick", 50, 10, time.Minute},
}

// ParseProfile returns the profile of a name.
func ParseProfile(name string) (Profile, error) {
	var names []string
	for _, p := range Profiles {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Profile{}, fmt.Errorf("profile %q: must be one of %s", name, strings.Join(names, ", "))
}

// Mode is what a run does.
type Mode string

// The modes.
const (
	ModeLoad  Mode = "load"  // the load of a profile
	ModeChaos Mode = "chaos" // the chaos tests
	ModeFull  Mode = "full"  // both
	ModeQuick Mode = "quick" // three messages: does anything work at all?
)

// Modes are all of them.
var Modes = []Mode{ModeLoad, ModeChaos, ModeFull, ModeQuick}

// HasProfile tells whether the mode makes the load of a profile.
func (m Mode) HasProfile() bool { return m == ModeLoad || m == ModeFull }

// ParseMode returns the mode of a name.
func ParseMode(name string) (Mode, error) {
	var names []string
	for _, m := range Modes {
		if string(m) == name {
			return m, nil
		}
		names = append(names, string(m))
	}
	return "", fmt.Errorf("mode %q: must be one of %s", name, strings.Join(names, ", "))
}
