package analysis

// The states of a circuit breaker.
const (
	stateClosed   = "closed"
	stateOpen     = "open"
	stateHalfOpen = "half_open"
)

// sighting is what a span says of the state of a circuit.
type sighting struct {
	at          int64 // Unix nanoseconds
	state, from string
}

// circuitCourse follows one circuit through time. Before the first sighting a
// circuit is taken to be closed.
type circuitCourse struct {
	Circuit
	from     int64 // where the interval that is asked for begins
	state    string
	since    int64 // of state
	last     int64 // sighting
	sighted  bool
	seen     bool // one in the interval
	wasOpen  bool // in the interval
	knowOpen bool // for how long, some of the time
	openNS   int64
	trips    []int64 // that no closing has followed
	closings int64
	sumNS    float64 // from trips to closings
	maxNS    int64
}

// see takes in the next sighting, in order of time.
func (c *circuitCourse) see(s sighting, answer *Circuits) {
	earlier, changed := c.state, c.state != s.state
	if s.from != "" && s.from != s.state {
		earlier, changed = s.from, true
	}
	inside := s.at >= c.from
	if c.state == stateOpen && c.sighted && inside {
		c.openNS += s.at - max(c.last, c.from)
		c.knowOpen, c.wasOpen = true, true
	}
	if changed || !c.sighted {
		c.since = s.at
	}
	c.state, c.last, c.sighted = s.state, s.at, true
	if !inside {
		return
	}
	c.seen = true
	c.wasOpen = c.wasOpen || s.state == stateOpen
	if changed {
		c.count(s, earlier)
		answer.Transitions = append(answer.Transitions, CircuitTransition{
			c.RunID, c.Service, c.Instance, c.Circuit.Circuit, utcText(s.at), s.at, earlier, s.state,
		})
	}
	if s.state == stateClosed {
		for _, trip := range c.trips {
			c.closings++
			c.sumNS += float64(s.at - trip)
			c.maxNS = max(c.maxNS, s.at-trip)
		}
		c.trips = c.trips[:0]
	}
}

func (c *circuitCourse) count(s sighting, earlier string) {
	switch {
	case s.state == stateOpen && earlier == stateHalfOpen:
		c.Reopened++
	case s.state == stateOpen:
		c.Trips++
		c.trips = append(c.trips, s.at)
	case s.state == stateHalfOpen:
		c.Probes++
	default:
		c.Closed++
	}
}

// finish adds the circuit to the answer. Of one that was not seen in the
// interval there is nothing to say, unless it was open when last seen.
func (c *circuitCourse) finish(answer *Circuits) {
	if c == nil || !c.seen && c.state == stateClosed {
		return
	}
	c.State, c.StillOpen = c.state, c.state != stateClosed
	since := c.since
	c.SinceNS, c.SinceUTC = &since, utcOf(&since)
	if open := float64(c.openNS) / 1e9; c.knowOpen || !c.wasOpen && c.state != stateOpen {
		c.OpenS = &open
	}
	if c.closings > 0 {
		mean, most := c.sumNS/float64(c.closings)/1e9, float64(c.maxNS)/1e9
		c.RecoveryS, c.MaxRecoveryS = &mean, &most
	}
	answer.Rows = append(answer.Rows, c.Circuit)
}
