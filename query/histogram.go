package query

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
	"github.com/spanbucket/spanbucketexporter/query/engine"
)

// merged is an invocation of histogram_merge.
type merged struct {
	bins histogram.Bins
	some bool
}

func (m *merged) Add(arguments []engine.Value) error {
	if arguments[0].Kind() == engine.Null {
		return nil
	}
	bins, err := parse("histogram_merge", arguments[0])
	if err != nil {
		return err
	}
	m.some = true
	if err := m.bins.Merge(bins); err != nil {
		return fmt.Errorf("histogram_merge: %w", err)
	}
	return nil
}

// Result is NULL where no row had a histogram.
func (m *merged) Result() (any, error) {
	if !m.some {
		return nil, nil
	}
	return string(m.bins.AppendText(nil)), nil
}

func parse(function string, argument engine.Value) (histogram.Bins, error) {
	if argument.Kind() != engine.Text {
		return nil, fmt.Errorf(`%s: histogram must be text such as {"954":2}`, function)
	}
	bins, err := histogram.ParseBins(argument.Text())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", function, err)
	}
	return bins, nil
}

// percentile is histogram_percentile(histogram, p [, min_ns, max_ns]).
func percentile(arguments []engine.Value) (any, error) {
	const name = "histogram_percentile"
	for _, a := range arguments {
		if a.Kind() == engine.Null {
			return nil, nil
		}
	}
	bins, err := parse(name, arguments[0])
	if err != nil {
		return nil, err
	}
	ratio, err := parseRatio(arguments[1])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	bin, rank, ok := bins.Percentile(ratio)
	if !ok {
		return nil, nil
	}
	if len(arguments) == 2 {
		return bin.Mid(), nil
	}
	smallest, largest := arguments[2].Int64(), arguments[3].Int64()
	if err := checkRange(bins, arguments[2:]); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	switch rank {
	case 1:
		return smallest, nil
	case bins.Count():
		return largest, nil
	}
	return min(max(bin.Mid(), smallest), largest), nil
}

// checkRange refuses a smallest and a largest value that cannot be those of the
// bins: a mistake in the query would make an answer that looks right.
func checkRange(bins histogram.Bins, arguments []engine.Value) error {
	for i, name := range []string{"min_ns", "max_ns"} {
		a := arguments[i]
		if a.Kind() != engine.Integer {
			return fmt.Errorf("%s must be an integer", name)
		}
		bin := bins[i*(len(bins)-1)].Bin
		if n := a.Int64(); n < bin.Lower() || n > bin.Upper() {
			return fmt.Errorf("%s is %d, and the %s bin reaches from %d to %d: it must be %s(%s) of the same rows",
				name, n, [2]string{"first", "last"}[i], bin.Lower(), bin.Upper(), name[:3], name)
		}
	}
	return nil
}

var errRatio = errors.New("p must be a fraction from 0 to 1, or a name such as 'p99' or 'p99.9'")

// parseRatio reads p: a number from 0 to 1, or text from p0 to p100. As a decimal
// it is exact, which a float is not.
func parseRatio(argument engine.Value) (histogram.Ratio, error) {
	var decimal string
	places := 0
	switch argument.Kind() {
	case engine.Integer, engine.Float:
		// All digits that a float holds for certain: 0.1 + 0.2 is 0.3.
		decimal = strings.TrimRight(strconv.FormatFloat(argument.Float64(), 'f', 15, 64), "0")
	case engine.Text:
		name, ok := strings.CutPrefix(argument.Text(), "p")
		if !ok {
			return histogram.Ratio{}, fmt.Errorf("%w, got '%.20s'", errRatio, argument.Text())
		}
		decimal, places = name, 2
	default:
		return histogram.Ratio{}, errRatio
	}
	whole, fraction, _ := strings.Cut(decimal, ".")
	const most = 9 // of digits behind the point: the denominator has 32 bits
	if len(fraction) > most-places {
		return histogram.Ratio{}, fmt.Errorf("%w with at most %d digits behind the point, got %.20s", errRatio, most-places, decimal)
	}
	denominator := uint64(1)
	for range len(fraction) + places {
		denominator *= 10
	}
	numerator, err := strconv.ParseUint(whole+fraction, 10, 64)
	if err != nil || numerator > denominator || whole == "" {
		return histogram.Ratio{}, fmt.Errorf("%w, got %.20s", errRatio, argument.Text())
	}
	return histogram.Ratio{Num: uint32(numerator), Den: uint32(denominator)}, nil
}
