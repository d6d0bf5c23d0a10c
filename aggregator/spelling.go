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
	known             int32  // what it is kept as
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
	known   knownSeries
	places  []int32 // index into entries plus one; 0: free. A power of two.
	bytes   int     // of the keys
	unclean bool    // some entry is longer than it is worth keeping
}

const (
	// maxSpellings and maxKeyBytes bound what survives a Reset.
	maxSpellings = 1 << 14
	maxKeyBytes  = 4 << 20
	minPlaces    = 1 << 8
)

func newSpellings() spellings {
	return spellings{
		seed: maphash.MakeSeed(), places: make([]int32, minPlaces), known: knownSeries{at: map[SeriesID]int32{}},
	}
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
	i, at, h := t.probe(s)
	if i < 0 {
		return t.insert(at, h, s)
	}
	return i
}

// seek returns the index of the entry of a series, or -1.
func (t *spellings) seek(s *Series) int32 {
	i, _, _ := t.probe(s)
	return i
}

// probe returns the index of the entry of a series, or -1, the place where one
// belongs and the hash; and leaves the key in t.key.
func (t *spellings) probe(s *Series) (i int32, at, h uint64) {
	key := t.keyOf(s)
	h = maphash.Bytes(t.seed, key)
	mask := uint64(len(t.places) - 1)
	for at = h & mask; ; at = (at + 1) & mask {
		i = t.places[at] - 1
		if i < 0 {
			return i, at, h
		}
		if e := &t.entries[i]; e.hash == h && e.key == string(key) {
			return i, at, h
		}
	}
}

func (t *spellings) insert(at, h uint64, s *Series) int32 {
	e := spelling{hash: h, key: string(t.key)}
	clean := *s
	e.notes = clean.Clean()
	// After cleaning: what is kept must not hold on to what was cut off, nor
	// to the batch.
	clean = clean.compact()
	e.known = t.known.add(NamedSeries{clean.ID(), clean})
	t.unclean = t.unclean || e.notes != 0
	t.bytes += len(e.key)
	t.entries = append(t.entries, e)
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
	if t.unclean || max(len(t.entries), len(t.known.all)) > maxSpellings || t.bytes > maxKeyBytes {
		clear(t.entries)
		clear(t.places)
		t.known.clear()
		t.entries, t.unclean = t.entries[:0], false
		t.bytes = 0
		t.key = nil // it may be as long as what was unclean
	}
}

// knownSeries gives every series a place of its own, found by its identifier.
type knownSeries struct {
	all []known
	at  map[SeriesID]int32 // index into all
}

type known struct {
	NamedSeries
	generation uint64 // of the delta that index belongs to
	index      int32  // into Delta.series
}

// add returns the place of a series. Where another one has its identifier,
// which takes two of some 2^31 that were looked for on purpose, it is kept as
// an overflow series: series are told apart by their values.
func (k *knownSeries) add(s NamedSeries) int32 {
	i, ok := k.at[s.ID]
	if ok && k.all[i].Series != s.Series {
		o := s.Overflowed()
		return k.add(NamedSeries{o.ID(), o})
	}
	if !ok {
		i = int32(len(k.all))
		k.all = append(k.all, known{NamedSeries: s})
		k.at[s.ID] = i
	}
	return i
}

func (k *knownSeries) clear() {
	clear(k.all)
	clear(k.at)
	k.all = k.all[:0]
}
