package aggregator

import "hash/maphash"

// spelling is a series as instrumentation wrote it. What comparing needs comes
// first, and its texts lie together in memory: there are a thousand of these
// and each span looks at one.
type spelling struct {
	hash uint64
	// Of the present contents of the delta: the index of the run, of the
	// series and of the cell it used last; valid where generation is that of
	// the delta.
	generation        uint64
	run, series, cell int32
	notes             Note // what cleaning changed
	raw               Series
}

// spellings finds series as they were written. It survives the Reset of a
// delta, since the same series come in every batch, and cleaning and hashing
// them is what a new one costs. A Go map would allocate every key of this size.
type spellings struct {
	seed    maphash.Seed
	entries []spelling
	kept    []NamedSeries // what each entry is kept as
	places  []int32       // index into entries plus one; 0: free. A power of two.
	unclean bool          // some entry is longer than it is worth keeping
}

const (
	// maxSpellings bounds what survives a Reset.
	maxSpellings = 1 << 14
	minPlaces    = 1 << 8
)

func newSpellings() spellings {
	return spellings{seed: maphash.MakeSeed(), places: make([]int32, minPlaces)}
}

// hash combines the values that are there; most are not.
func (t *spellings) hash(s *Series) uint64 {
	h := uint64(s.Kind) | uint64(s.Category)<<8 | uint64(s.Outcome)<<16
	for i, value := range [...]string{
		s.Run, s.Service, s.Operation, s.Provider, s.Model, s.Tool, s.Agent, s.ErrorType, s.Fault, s.Dimensions,
	} {
		if value != "" {
			h = (h ^ uint64(i+1)) * 0x9E3779B97F4A7C15
			h ^= maphash.String(t.seed, value) ^ h>>32
		}
	}
	return h
}

// find returns the index of the entry of a series, and makes one where it is
// new.
func (t *spellings) find(s *Series) int32 {
	h := t.hash(s)
	mask := uint64(len(t.places) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		i := t.places[at] - 1
		if i < 0 {
			return t.insert(at, h, s)
		}
		if e := &t.entries[i]; e.hash == h && e.raw == *s {
			return i
		}
	}
}

func (t *spellings) insert(at, h uint64, s *Series) int32 {
	e := spelling{hash: h, raw: s.compact()}
	clean := e.raw
	e.notes = clean.Clean()
	t.unclean = t.unclean || e.notes != 0
	t.entries = append(t.entries, e)
	t.kept = append(t.kept, NamedSeries{clean.ID(), clean})
	t.places[at] = int32(len(t.entries))
	if 2*len(t.entries) > len(t.places) {
		t.grow()
	}
	return int32(len(t.entries) - 1)
}

func (t *spellings) grow() {
	t.places = make([]int32, 2*len(t.places))
	mask := uint64(len(t.places) - 1)
	for i := range t.entries {
		at := t.entries[i].hash & mask
		for t.places[at] != 0 {
			at = (at + 1) & mask
		}
		t.places[at] = int32(i + 1)
	}
}

// trim forgets everything where there is too much of it.
func (t *spellings) trim() {
	if t.unclean || len(t.entries) > maxSpellings {
		clear(t.entries)
		clear(t.kept)
		clear(t.places)
		t.entries, t.kept, t.unclean = t.entries[:0], t.kept[:0], false
	}
}
