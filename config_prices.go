package spanbucketexporter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/confmap"

	"github.com/spanbucket/spanbucketexporter/spans"
)

// PriceConfig is what the tokens of a model cost, in US dollars per million.
type PriceConfig struct {
	// Model is a pattern of model names: * stands for any text, ? for one
	// character.
	Model string `mapstructure:"model"`
	// Input is the price of input tokens; without one they cost nothing.
	Input *TokenPrice `mapstructure:"input"`
	// Output is the price of output tokens; without one they cost nothing.
	Output *TokenPrice `mapstructure:"output"`
	// CacheRead is the price of input tokens that a cache held, by default that
	// of input tokens.
	CacheRead *TokenPrice `mapstructure:"cache_read"`
	// CacheWrite is the price of input tokens that were put into a cache, by
	// default that of input tokens.
	CacheWrite *TokenPrice `mapstructure:"cache_write"`

	_ struct{}
}

// Unmarshal reads one price. YAML hands numbers over as binary fractions; their
// shortest text is what was written.
func (p *PriceConfig) Unmarshal(conf *confmap.Conf) error {
	for _, key := range []string{"input", "output", "cache_read", "cache_write"} {
		var text string
		switch number := conf.Get(key).(type) {
		case float64:
			text = strconv.FormatFloat(number, 'f', -1, 64)
		case int, int32, int64, uint64:
			text = fmt.Sprint(number)
		default:
			continue
		}
		if err := conf.Merge(confmap.NewFromStringMap(map[string]any{key: text})); err != nil {
			return err
		}
	}
	return conf.Unmarshal(p)
}

// price returns the prices per token.
func (p *PriceConfig) price() spans.Price {
	input := p.Input.orElse(0)
	return spans.Price{
		Model: p.Model, Input: input, Output: p.Output.orElse(0),
		CacheRead: p.CacheRead.orElse(input), CacheWrite: p.CacheWrite.orElse(input),
	}
}

// TokenPrice is a price in millionths of a US dollar per million tokens, which
// is to say in 1e-12 US dollars per token.
type TokenPrice int64

const (
	// priceDecimals is how finely a price can be told.
	priceDecimals = 6
	oneUSD        = TokenPrice(1_000_000)
)

// UnmarshalText reads US dollars per million tokens, such as 0.075.
func (t *TokenPrice) UnmarshalText(text []byte) error {
	price, err := parsePrice(string(text))
	if err != nil {
		return fmt.Errorf("%.40q: must be US dollars per million tokens, such as 0.075, with at most %d decimals", text, priceDecimals)
	}
	*t = price
	return nil
}

var errPrice = errors.New("not a price")

// parsePrice reads a decimal number digit by digit: floating point would round
// it.
func parsePrice(text string) (TokenPrice, error) {
	number, negative := strings.CutPrefix(text, "-")
	whole, fraction, point := strings.Cut(number, ".")
	if whole == "" || point && fraction == "" || len(fraction) > priceDecimals || strings.ContainsAny(number, "+-") {
		return 0, errPrice
	}
	price, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", priceDecimals-len(fraction)), 10, 64)
	if negative {
		price = -price
	}
	return TokenPrice(price), err
}

// MarshalText is the inverse of UnmarshalText.
func (t TokenPrice) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// String returns the price in US dollars per million tokens.
func (t TokenPrice) String() string {
	sign, t := map[bool]string{true: "-"}[t < 0], max(t, -t)
	text := fmt.Sprintf("%s%d.%06d", sign, t/oneUSD, t%oneUSD)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// orElse returns the price in millionths of a millionth of a dollar per token,
// other where there is none.
func (t *TokenPrice) orElse(other int64) int64 {
	if t == nil {
		return other
	}
	return int64(*t)
}
