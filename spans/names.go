package spans

import (
	"maps"
	"slices"
)

// nameTable finds a value by a name. It is a hash table made for its task: a
// span has a dozen attributes, most of them in no table, and this lookup is
// most of what reading a span costs. Some letters and the length tell nearly
// all names apart, so that nearly every miss ends without a comparison; a Go
// map hashes the whole name. Create it with newNameTable.
type nameTable[V any] struct {
	// index holds the position in places plus one in its lower bits, 0 where
	// there is none, and bits of the hash above. It is kept apart, and small,
	// so that misses touch nothing else.
	index  [nameTableSize]uint16
	places []namePlace[V]
}

type namePlace[V any] struct {
	name  string
	value V
}

const (
	// nameTableSize is several times what sources and MaxDimensions fill.
	nameTableSize = 1 << nameTableBits
	nameTableBits = 10
	// maxNames is what the lower bits of an index entry can tell apart.
	maxNames = 1<<placeBits - 1
	// placeBits leaves six bits for the hash.
	placeBits = 10
)

// newNameTable returns a table of names, none of which may be empty or stand
// twice: at most maxNames.
func newNameTable[V any](names []string, value func(name string) V) *nameTable[V] {
	t := &nameTable[V]{}
	for _, name := range names {
		t.places = append(t.places, namePlace[V]{name, value(name)})
		slot, tag := slotOf(nameHash(name))
		for t.index[slot%nameTableSize] != 0 {
			slot++
		}
		t.index[slot%nameTableSize] = uint16(len(t.places)) | tag
	}
	return t
}

// tableOf returns a table of the entries of a map.
func tableOf[V any](values map[string]V) *nameTable[V] {
	return newNameTable(slices.Sorted(maps.Keys(values)), func(name string) V { return values[name] })
}

func nameHash(name string) uint32 {
	n := len(name)
	h := uint32(n) ^ uint32(name[n-1])<<5 ^ uint32(name[n/2])<<11 ^ uint32(name[n*3/4])<<17
	return h * 0x9E3779B1 // Fibonacci hashing: the upper bits are the good ones
}

// slotOf returns where the search for a hash begins, and the bits that its
// entries have above placeBits: those below the ones that choose the slot.
func slotOf(h uint32) (slot uint32, tag uint16) {
	return h >> (32 - nameTableBits), uint16(h>>(32-nameTableBits-6)) << placeBits
}

// find returns the value of a name, nil for none. It is the table's own.
func (t *nameTable[V]) find(name string) *V {
	if name == "" {
		return nil
	}
	slot, tag := slotOf(nameHash(name))
	for {
		entry := t.index[slot%nameTableSize]
		if entry == 0 {
			return nil
		}
		if entry&^maxNames == tag {
			if place := &t.places[entry&maxNames-1]; place.name == name {
				return &place.value
			}
		}
		slot++
	}
}
