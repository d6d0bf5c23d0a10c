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
// most of what reading a span costs. Some letters and the length tell nearly
// all names apart, so that nearly every miss ends without a comparison; a Go
// map hashes the whole name.
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
	// nameTableSize is a power of two, several times what sources and
	// MaxDimensions fill.
	nameTableSize = 2048
	// maxNames is what the lower bits of an index entry can tell apart.
	maxNames = 1<<placeBits - 1
	// placeBits leaves six bits for the hash.
	placeBits = 10
)

func nameHash(name string) uint32 {
	n := len(name)
	h := uint32(n) ^ uint32(name[n-1])<<5 ^ uint32(name[n/2])<<11 ^ uint32(name[n*3/4])<<17
	return h * 0x9E3779B1 // Fibonacci hashing: the upper bits are the good ones
}

// slotOf returns where the search for a hash begins, and the bits that its
// entries have above placeBits.
func slotOf(h uint32) (slot uint32, tag uint16) {
	return h >> 21, uint16(h>>15) << placeBits
}

// find returns the value of a name, nil for none. It is the table's own.
func (t *nameTable[V]) find(name string) *V {
	if name == "" {
		return nil
	}
	for slot, tag := slotOf(nameHash(name)); ; slot++ {
		entry := t.index[slot%nameTableSize]
		if entry == 0 {
			return nil
		}
		if entry&^maxNames == tag {
			if place := &t.places[entry&maxNames-1]; place.name == name {
				return &place.value
			}
		}
	}
}

// add returns the value of a name that must not be empty, a new one where
// there is none. It is valid until the next call of add. At most maxNames can
// be added.
func (t *nameTable[V]) add(name string) *V {
	if value := t.find(name); value != nil {
		return value
	}
	t.places = append(t.places, namePlace[V]{name: name})
	slot, tag := slotOf(nameHash(name))
	for t.index[slot%nameTableSize] != 0 {
		slot++
	}
	t.index[slot%nameTableSize] = uint16(len(t.places)) | tag
	return &t.places[len(t.places)-1].value
}
