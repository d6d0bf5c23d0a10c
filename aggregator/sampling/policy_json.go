package sampling

import (
	"encoding/json"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// policyText is how a policy is written: categories by their names, whose
// numbers may change.
type policyText struct {
	RatioMicro  int64            `json:"ratio_micro"`
	SlowNanos   map[string]int64 `json:"slow_ns"`
	MaxForCause int              `json:"max_for_cause"`
}

// MarshalJSON writes the policy as a JSON object.
func (p *Policy) MarshalJSON() ([]byte, error) {
	text := policyText{p.RatioMicro, map[string]int64{}, p.MaxForCause}
	for c, nanos := range p.SlowNanos {
		if nanos != 0 {
			text.SlowNanos[aggregator.Category(c).String()] = nanos
		}
	}
	return json.Marshal(text)
}

// UnmarshalJSON is the inverse of MarshalJSON. A category that is not known is
// an error.
func (p *Policy) UnmarshalJSON(data []byte) error {
	var text policyText
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	*p = Policy{RatioMicro: text.RatioMicro, MaxForCause: text.MaxForCause}
	for name, nanos := range text.SlowNanos {
		c, known := aggregator.ParseCategory(name)
		if !known {
			return fmt.Errorf("slow_ns: unknown category %q", name)
		}
		p.SlowNanos[c] = nanos
	}
	return nil
}
