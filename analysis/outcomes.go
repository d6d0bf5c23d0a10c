package analysis

import (
	"strconv"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// Outcomes are numbers of requests by outcome; they add up to all requests.
type Outcomes [aggregator.NumOutcomes]int64

// MarshalJSON writes an object {"success":12,…} with all ten outcomes, in the
// order of the columns of the relation timeseries.
func (o Outcomes) MarshalJSON() ([]byte, error) {
	text := []byte{'{'}
	for outcome, n := range o {
		if outcome > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendQuote(text, aggregator.Outcome(outcome).String())
		text = append(text, ':')
		text = strconv.AppendInt(text, n, 10)
	}
	return append(text, '}'), nil
}

// Requests are those of every outcome.
func (o *Outcomes) Requests() (total int64) {
	for _, n := range o {
		total += n
	}
	return total
}

// Success counts what went well.
func (o *Outcomes) Success() int64 { return o[aggregator.OutcomeSuccess] }

// Refused counts what was turned away: over a rate limit, or for lack of
// capacity.
func (o *Outcomes) Refused() int64 {
	return o[aggregator.OutcomeRateLimited] + o[aggregator.OutcomeCapacityError]
}

func (o *Outcomes) add(other *Outcomes) {
	for i, n := range other {
		o[i] += n
	}
}
