package spans

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// index finds what attributes feed. There is one for folding and one, with
// more fields, for rows of single requests.
type index struct {
	span       *attributeTable
	resource   *attributeTable
	claudeCode *attributeTable // on spans of Claude Code, before span
	slots      int
	// vocabularies of the sources of fieldOperation, and scales of those of
	// fields with a unit, by rank-1.
	vocabularies []*vocabulary
	scales       map[field][]float64
	// claudeInputRank is that of Claude Code's input tokens; 0: not read.
	claudeInputRank uint8
	// serverTTFTRank is that of the name under which some write milliseconds.
	serverTTFTRank uint8
}

// newIndex builds the index of the fields that folding needs, or of all.
func newIndex(o *Options, dimensions []Dimension, all bool) *index {
	ix := &index{slots: int(numFields) + len(dimensions), scales: map[field][]float64{}}
	var onSpans, onResources, onClaudeCode attributeTargets
	add := func(s scope, name string, t target) {
		if s != onResource {
			onSpans.add(name, t)
		}
		if s != onSpan {
			onResources.add(name, t)
		}
	}
	for _, s := range configuredSources(o.Fields) {
		if s.request && !all {
			continue
		}
		names := slices.Concat(s.attributes, s.claudeCode)
		for i, name := range names {
			t := target{uint8(s.field), uint8(i + 1)}
			if i < len(s.attributes) {
				add(s.scope, name, t)
			} else {
				onClaudeCode.add(name, t)
			}
			if _, scaled := fieldScales[s.field]; scaled {
				ix.scales[s.field] = append(ix.scales[s.field], scaleOf(s.field, name))
			}
			switch {
			case s.field == fieldInputTokens && name == "input_tokens":
				ix.claudeInputRank = t.rank
			case s.field == fieldTimeToFirstToken && name == "gen_ai.server.time_to_first_token":
				ix.serverTTFTRank = t.rank
			}
			if s.field == fieldOperation {
				ix.vocabularies = append(ix.vocabularies, vocabularyOf(name))
			}
		}
	}
	for i, d := range dimensions {
		add(onSpanThenResource, d.Name, target{uint8(int(numFields) + i), 1})
	}
	onClaudeCode.merge(&onSpans)
	ix.span, ix.resource, ix.claudeCode = onSpans.table(), onResources.table(), onClaudeCode.table()
	return ix
}

// configuredSources returns sources with the configured names in the place of
// the built-in ones.
func configuredSources(fields map[string][]string) []source {
	configured := slices.Clone(sources)
	for name, attributes := range fields {
		f, known := fieldNames[name]
		for i := range configured {
			if s := &configured[i]; known && s.field == f {
				s.attributes, s.claudeCode = attributes, nil
			}
		}
	}
	return configured
}

// target is what one attribute feeds: a field, or a configured dimension
// numbered from numFields on. Of several attributes present, the lowest rank
// counts.
type target struct {
	slot uint8
	rank uint8
}

// attributeTable finds the targets of an attribute. They all lie together:
// what reading a span touches must be small.
type attributeTable struct {
	names   *nameTable[targetRange]
	targets []target
}

// targetRange is where in attributeTable.targets those of an attribute are.
type targetRange struct{ from, to uint16 }

func (t *attributeTable) find(name string) []target {
	r := t.names.find(name)
	if r == nil {
		return nil
	}
	return t.targets[r.from:r.to]
}

// attributeTargets collects what becomes an attributeTable.
type attributeTargets struct {
	names []string
	of    map[string][]target
}

func (c *attributeTargets) add(name string, t target) {
	if c.of == nil {
		c.of = map[string][]target{}
	}
	if _, known := c.of[name]; !known {
		c.names = append(c.names, name)
	}
	c.of[name] = append(c.of[name], t)
}

// merge adds what all spans feed to the names that mean more on some.
func (c *attributeTargets) merge(all *attributeTargets) {
	for _, name := range c.names {
		c.of[name] = append(c.of[name], all.of[name]...)
	}
}

func (c *attributeTargets) table() *attributeTable {
	t := &attributeTable{}
	t.names = newNameTable(c.names, func(name string) targetRange {
		from := len(t.targets)
		t.targets = append(t.targets, c.of[name]...)
		return targetRange{uint16(from), uint16(len(t.targets))}
	})
	return t
}

// record holds the attribute values found on one span or resource.
type record struct {
	values     [maxSlots]pcommon.Value
	ranks      [maxSlots]uint8 // 0: nothing found
	seen       fieldSet
	attributes pcommon.Map
	names      *attributeTable
	first      *attributeTable // asked before names; may be nil
}

// maxSlots is what a slot can tell apart: no index into an array of so many can
// be out of range.
const maxSlots = 256

// read takes what the attributes say of the fields. An attribute that stands
// twice counts as its first usable value.
func (r *record) read(attributes pcommon.Map, names, first *attributeTable) {
	clear(r.ranks[:])
	r.attributes, r.names, r.first, r.seen = attributes, names, first, 0
	if first != nil {
		for name, value := range attributes.All() {
			r.offer(value, r.targets(name))
		}
		return
	}
	for name, value := range attributes.All() {
		// What most attributes are: none of ours.
		if at := names.names.find(name); at != nil {
			r.offer(value, names.targets[at.from:at.to])
		}
	}
}

// offer gives a value to the fields that have none of a lower rank.
func (r *record) offer(value pcommon.Value, targets []target) {
	for _, t := range targets {
		if found := r.ranks[t.slot]; found == 0 || t.rank < found {
			r.seen |= 1 << (t.slot & 63)
			r.ranks[t.slot] = t.rank
			r.values[t.slot] = value
		}
	}
}

// targets returns what an attribute feeds.
func (r *record) targets(name string) []target {
	if r.first != nil {
		if targets := r.first.find(name); targets != nil {
			return targets
		}
	}
	return r.names.find(name)
}

// release forgets everything that belongs to a batch.
func (r *record) release() {
	clear(r.values[:])
	clear(r.ranks[:])
	r.seen = 0
	r.attributes = pcommon.Map{}
}

func (r *record) has(f field) bool { return r.ranks[f] != 0 }

// hasAny tells whether something may have been found for a field of the set;
// false is certain.
func (r *record) hasAny(of fieldSet) bool { return r.seen&of != 0 }

// usable tells whether a value says anything that a field can hold.
func usable(value pcommon.Value) bool {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return value.Str() != ""
	case pcommon.ValueTypeInt, pcommon.ValueTypeDouble, pcommon.ValueTypeBool:
		return true
	default:
		return false
	}
}

// settle replaces a value by the usable one with the lowest rank above a given
// one, or by nothing. It is the rare way: asking every attribute beforehand
// would cost every span.
func (r *record) settle(slot, above uint8) {
	r.ranks[slot] = 0
	for name, value := range r.attributes.All() {
		targets := r.targets(name)
		if targets == nil || !usable(value) {
			continue
		}
		for _, t := range targets {
			if found := r.ranks[slot]; t.slot == slot && t.rank > above && (found == 0 || t.rank < found) {
				r.ranks[slot] = t.rank
				r.values[slot] = value
			}
		}
	}
}
