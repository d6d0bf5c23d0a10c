package spanbucketexporter

import (
	"fmt"
	"time"
)

const (
	maxFaultGap     = time.Hour
	maxFaultWindows = 10_000
)

func (c *Config) validateFaults(fault faultFunc) {
	if c.Faults.Gap < 0 || c.Faults.Gap > maxFaultGap {
		fault("faults::gap", c.Faults.Gap, "must be from 0s to %v", maxFaultGap)
	}
	if n := len(c.Faults.Windows); n > maxFaultWindows {
		fault("faults::windows", fmt.Sprintf("%d windows", n), "must be at most %d; spanbucket faults import takes more", maxFaultWindows)
	}
	for i := range c.Faults.Windows {
		c.Faults.Windows[i].validate(fault, fmt.Sprintf("faults::windows::%d::", i))
	}
}

func (w *FaultWindowConfig) validate(fault faultFunc, key string) {
	if w.Fault == "" {
		fault(key+"fault", `""`, "must name the fault")
	}
	for _, text := range [][2]string{
		{"fault", w.Fault}, {"target", w.Target}, {"run", w.Run}, {"experiment_id", w.ExperimentID},
	} {
		validateText(fault, key+text[0], text[1])
	}
	for _, given := range []struct {
		name string
		at   Instant
	}{{"start", w.Start}, {"end", w.End}} {
		if given.at <= 0 {
			fault(key+given.name, "none", "must be given")
		}
	}
	if w.Start > 0 && w.End > 0 && w.End < w.Start {
		fault(key+"end", w.End, "must not be before the start, %v", w.Start)
	}
}
