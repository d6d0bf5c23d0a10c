package aggregator

import (
	"encoding/binary"
	"hash/maphash"
)

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
	notes             Note   // what cleaning changed
	key               string // the series as written
}

// spellings finds series as they were written. It survives the Reset of a
// delta, since the same series come in every batch, and cleaning and hashing
// them is what a new one costs. A Go map would allocate every key of this size.
type spellings struct {
	seed    maphash.Seed
	key     []byte // reused
	entries []spelling
	kept    []NamedSeries // what each entry is kept as
	places  []int32       // index into entries plus one; 0: free. A power of two.
	bytes   int           // of the keys
	unclean bool          // some entry is longer than it is worth keeping
}

const (
	// maxSpellings and maxKeyBytes bound what survives a Reset.
	maxSpellings = 1 << 14
	maxKeyBytes  = 4 << 20
	minPlaces    = 1 << 8
)

func newSpellings() spellings {
	return spellings{seed: maphash.MakeSeed(), places: make([]int32, minPlaces)}
}

// keyOf writes down a series so that no two look the same: one run of bytes is
// hashed and compared faster than ten texts that lie apart.
func (t *spellings) keyOf(s *Series) []byte {
	key := append(t.key[:0], byte(s.Kind), byte(s.Category), byte(s.Outcome))
	for _, value := range [...]*string{
		&s.Run, &s.Service, &s.Operation, &s.Provider, &s.Model, &s.Tool, &s.Agent, &s.ErrorType, &s.Fault, &s.Dimensions,
	} {
		n := len(*value)
		if n < 0xff {
			key = append(key, byte(n))
		} else {
			key = binary.BigEndian.AppendUint64(append(key, 0xff), uint64(n))
		}
		key = append(key, *value...)
	}
	t.key = key
	return key
}

// find returns the index of the entry of a series, and makes one where it is
// new.
func (t *spellings) find(s *Series) int32 {
	key := t.keyOf(s)
	h := maphash.Bytes(t.seed, key)
	mask := uint64(len(t.places) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		i := t.places[at] - 1
		if i < 0 {
			return t.insert(at, h, s)
		}
		if e := &t.entries[i]; e.hash == h && e.key == string(key) {
			return i
		}
	}
}

func (t *spellings) insert(at, h uint64, s *Series) int32 {
	e := spelling{hash: h, key: string(t.key)}
	clean := s.compact()
	e.notes = clean.Clean()
	t.unclean = t.unclean || e.notes != 0
	t.bytes += len(e.key)
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
	if t.unclean || len(t.entries) > maxSpellings || t.bytes > maxKeyBytes {
		clear(t.entries)
		clear(t.kept)
		clear(t.places)
		t.entries, t.kept, t.unclean = t.entries[:0], t.kept[:0], false
		t.bytes = 0
		t.key = nil // it may be as long as what was unclean
	}
}
