package spanbucketexporter

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spanbucket/spanbucketexporter/spans"
)

const (
	maxPrices     = 1_000
	maxTokenPrice = 1_000_000 * oneUSD
)

func (c *Config) validateFields(fault faultFunc) {
	known := spans.FieldNames()
	for _, field := range slices.Sorted(maps.Keys(c.Fields)) {
		key, names := "fields::"+field, c.Fields[field]
		if !slices.Contains(known, field) {
			fault("fields", fmt.Sprintf("%.40q", field), "must be one of %s", strings.Join(known, ", "))
		}
		if n := len(names); n < 1 || n > spans.MaxFieldSources {
			fault(key, fmt.Sprintf("%d attributes", n), "must be from 1 to %d", spans.MaxFieldSources)
		}
		for i, name := range names {
			key := fmt.Sprintf("%s::%d", key, i)
			if name == "" {
				fault(key, `""`, "must name an attribute")
			} else if before := slices.Index(names, name); before < i {
				fault(key, fmt.Sprintf("%.40q", name), "is attribute %d already", before)
			}
			validateText(fault, key, name)
		}
	}
}

func (c *Config) validatePrices(fault faultFunc) {
	if n := len(c.Prices); n > maxPrices {
		fault("prices", fmt.Sprintf("%d prices", n), "must be at most %d", maxPrices)
	}
	for i := range c.Prices {
		p := &c.Prices[i]
		key := fmt.Sprintf("prices::%d::", i)
		if p.Model == "" {
			fault(key+"model", `""`, "must name models, such as gpt-4o*")
		}
		validateText(fault, key+"model", p.Model)
		if p.Input == nil && p.Output == nil {
			fault(key+"input", "none", "must be given where output is not")
		}
		for _, given := range []struct {
			name  string
			price *TokenPrice
		}{{"input", p.Input}, {"output", p.Output}, {"cache_read", p.CacheRead}, {"cache_write", p.CacheWrite}} {
			if given.price != nil && (*given.price < 0 || *given.price > maxTokenPrice) {
				fault(key+given.name, given.price, "must be from 0 to %v", maxTokenPrice)
			}
		}
	}
}
