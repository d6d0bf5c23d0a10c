package check

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// MaxFileBytes bounds a file of thresholds.
const MaxFileBytes = 1 << 20

// ParseFile reads a file of thresholds:
//
//	p99: 2000                      # of all requests: fails above
//	p95: {warn: 800, fail: 1200}
//	categories:
//	  tool: {error_rate: 5%}
//	models:
//	  gpt-4o: {p99: {fail: 5000}}
//
// All faults are named at once, each with its key and line.
func ParseFile(r io.Reader) ([]Rule, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > MaxFileBytes {
		return nil, fmt.Errorf("is longer than %d bytes", MaxFileBytes)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, more yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("is empty")
	case err != nil:
		return nil, err
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("has more than one document")
	}
	p := &fileParser{}
	p.top(document.Content[0])
	if len(p.faults) == 0 && len(p.rules) == 0 {
		return nil, fmt.Errorf("sets no threshold")
	}
	return p.rules, errors.Join(p.faults...)
}

// fileParser collects rules and faults.
type fileParser struct {
	rules  []Rule
	faults []error
}

func (p *fileParser) fault(n *yaml.Node, path, format string, args ...any) {
	p.faults = append(p.faults, fmt.Errorf("line %d: %s: %s", n.Line, path, fmt.Sprintf(format, args...)))
}

// members calls do for every key of a mapping, and names what is none and what
// is there twice.
func (p *fileParser) members(n *yaml.Node, path string, do func(key, value *yaml.Node, path string)) {
	if n.Kind != yaml.MappingNode {
		p.fault(n, path, "must be keys and values")
		return
	}
	var seen []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		inside := key.Value
		if path != topName {
			inside = path + "." + key.Value
		}
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
			p.fault(key, path, "keys must be plain text")
		case slices.Contains(seen, key.Value):
			p.fault(key, inside, "is there twice")
		case value.Kind == yaml.AliasNode:
			p.fault(value, inside, "aliases are not taken")
		default:
			do(key, value, inside)
		}
		seen = append(seen, key.Value)
	}
}

// topName stands for the whole file in faults.
const topName = "thresholds"

func (p *fileParser) top(n *yaml.Node) {
	p.members(n, topName, func(key, value *yaml.Node, path string) {
		switch key.Value {
		case "categories":
			p.members(value, path, func(key, value *yaml.Node, path string) {
				category, ok := aggregator.ParseCategory(key.Value)
				if !ok {
					p.fault(key, path, "must be one of %s", strings.Join(aggregator.CategoryNames(), ", "))
					return
				}
				p.figures(value, path, Rule{Category: &category})
			})
		case "models":
			p.members(value, path, func(key, value *yaml.Node, path string) {
				p.figures(value, path, Rule{Model: &key.Value})
			})
		default:
			p.figure(key, value, path, Rule{})
		}
	})
}

func (p *fileParser) figures(n *yaml.Node, path string, about Rule) {
	p.members(n, path, func(key, value *yaml.Node, path string) { p.figure(key, value, path, about) })
}

// figure reads the levels of one figure.
func (p *fileParser) figure(key, value *yaml.Node, path string, rule Rule) {
	m, ok := metricOf(key.Value)
	narrowed := rule.Category != nil || rule.Model != nil
	switch {
	case !ok && narrowed:
		p.fault(key, path, "must be one of %s", strings.Join(Names()[:len(metrics)-1], ", "))
		return
	case !ok:
		p.fault(key, path, "must be one of %s, categories, models", strings.Join(Names(), ", "))
		return
	case m.value == nil && narrowed:
		p.fault(key, path, "is of the run as a whole: no category or model has it")
		return
	}
	rule.Metric = m.name
	before := len(p.faults)
	if value.Kind == yaml.ScalarNode {
		rule.Fail = p.level(&m, value, path)
	} else {
		p.members(value, path, func(key, value *yaml.Node, path string) {
			switch key.Value {
			case "warn":
				rule.Warn = p.level(&m, value, path)
			case "fail":
				rule.Fail = p.level(&m, value, path)
			default:
				p.fault(key, path, "must be warn or fail")
			}
		})
	}
	if len(p.faults) > before {
		return
	}
	if rule.Warn == nil && rule.Fail == nil {
		p.fault(value, path, "must have warn, fail or both")
		return
	}
	if err := rule.checkLevels(); err != nil {
		p.faults = append(p.faults, fmt.Errorf("line %d: %s: %w", value.Line, path, err))
		return
	}
	p.rules = append(p.rules, rule)
}

func (p *fileParser) level(m *metric, n *yaml.Node, path string) *float64 {
	if n.Kind != yaml.ScalarNode {
		p.fault(n, path, "must be a number")
		return nil
	}
	value, err := m.parse(n.Value)
	if err != nil {
		p.faults = append(p.faults, fmt.Errorf("line %d: %s: %w", n.Line, path, err))
		return nil
	}
	return &value
}
