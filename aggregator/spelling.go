package aggregator

import "hash/maphash"

// spelling is a series as instrumentation wrote it, and what it is kept as.
type spelling struct {
	hash  uint64
	raw   Series
	clean NamedSeries
	notes Note // what cleaning changed
	// Of the present contents of the delta: the index of the series and of the
	// cell it used last; valid where generation is that of the delta.
	generation uint64
	series     int32
	cell       int32
}

// spellings finds series as they were written. It survives the Reset of a
// delta, since the same series come in every batch, and cleaning and hashing
// them is what a new one costs. A Go map would allocate every key of this size.
type spellings struct {
	seed    maphash.Seed
	entries []spelling
	places  []int32 // index into entries plus one; 0: free. A power of two.
	unclean bool    // some entry is longer than it is worth keeping
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

// find returns the entry of a series, and makes one where it is new.
func (t *spellings) find(s *Series) *spelling {
	h := t.hash(s)
	mask := uint64(len(t.places) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		if t.places[at] == 0 {
			return t.insert(at, h, s)
		}
		if e := &t.entries[t.places[at]-1]; e.hash == h && e.raw == *s {
			return e
		}
	}
}

func (t *spellings) insert(at, h uint64, s *Series) *spelling {
	clean := *s
	notes := clean.Clean()
	t.unclean = t.unclean || notes != 0
	t.entries = append(t.entries, spelling{hash: h, raw: *s, clean: NamedSeries{clean.ID(), clean}, notes: notes})
	t.places[at] = int32(len(t.entries))
	if 2*len(t.entries) > len(t.places) {
		t.grow()
	}
	return &t.entries[len(t.entries)-1]
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
		clear(t.places)
		t.entries, t.unclean = t.entries[:0], false
	}
}
