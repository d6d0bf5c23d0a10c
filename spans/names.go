package spans

// target is what one attribute feeds: a field, or a configured dimension
// numbered from numFields on. Of several attributes present, the lowest rank
// counts.
type target struct {
	slot uint8
	rank uint8
}

// nameTable finds a value by a name. It is a hash table made for its task: a
// span has a dozen attributes, most of them in no table, and this lookup is
// most of what reading a span costs. Three letters and the length tell nearly
// all names apart, so that nearly every miss ends at an empty place without a
// comparison; a Go map hashes the whole name.
type nameTable[V any] struct {
	// index holds the position in places plus one, 0 where there is none. It
	// is kept apart, and small, so that misses touch nothing else.
	index  [nameTableSize]uint16
	places []namePlace[V]
}

type namePlace[V any] struct {
	name  string
	value V
}

// nameTableSize is a power of two, several times what sources and
// MaxDimensions can fill.
const nameTableSize = 1024

func nameHash(name string) uint32 {
	n := len(name)
	h := uint32(n) ^ uint32(name[n-1])<<5 ^ uint32(name[n/2])<<11 ^ uint32(name[n*3/4])<<17
	return h * 0x9E3779B1 >> 22 // Fibonacci hashing: the upper ten bits
}

// find returns the value of a name, nil for none. It is the table's own.
func (t *nameTable[V]) find(name string) *V {
	if name == "" {
		return nil
	}
	for h := nameHash(name); t.index[h%nameTableSize] != 0; h++ {
		if place := &t.places[t.index[h%nameTableSize]-1]; place.name == name {
			return &place.value
		}
	}
	return nil
}

// add returns the value of a name that must not be empty, a new one where
// there is none. It is valid until the next call of add.
func (t *nameTable[V]) add(name string) *V {
	if value := t.find(name); value != nil {
		return value
	}
	t.places = append(t.places, namePlace[V]{name: name})
	h := nameHash(name)
	for t.index[h%nameTableSize] != 0 {
		h++
	}
	t.index[h%nameTableSize] = uint16(len(t.places))
	return &t.places[len(t.places)-1].value
}
