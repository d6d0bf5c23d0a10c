package spans

// target is what one attribute feeds: a field, or a configured dimension
// numbered from numFields on. Of several attributes present, the lowest rank
// counts.
type target struct {
	slot uint8
	rank uint8
}

// nameTable finds the targets of an attribute by its name. It is a hash table
// made for its task: a span has a dozen attributes, most of them in no table,
// and this lookup is most of what reading a span costs. Three letters and the
// length tell nearly all names apart, so that nearly every miss ends at an
// empty place without a comparison; a Go map hashes the whole name.
type nameTable struct {
	// index holds the position in places plus one, 0 where there is none. It
	// is kept apart, and small, so that misses touch nothing else.
	index  [nameTableSize]uint8
	places []namePlace
}

type namePlace struct {
	name    string
	targets []target
}

// nameTableSize is a power of two, several times what sources and
// MaxDimensions can fill.
const nameTableSize = 512

func nameHash(name string) uint32 {
	n := len(name)
	h := uint32(n) ^ uint32(name[n-1])<<5 ^ uint32(name[n/2])<<11 ^ uint32(name[n*3/4])<<17
	return h * 0x9E3779B1 >> 23 // Fibonacci hashing: the upper nine bits
}

// targets returns what the attribute feeds, nil for nothing.
func (t *nameTable) targets(name string) []target {
	if name == "" {
		return nil
	}
	for h := nameHash(name); t.index[h%nameTableSize] != 0; h++ {
		if place := &t.places[t.index[h%nameTableSize]-1]; place.name == name {
			return place.targets
		}
	}
	return nil
}

// add lets an attribute feed one more target. The name must not be empty.
func (t *nameTable) add(name string, new target) {
	h := nameHash(name)
	for ; t.index[h%nameTableSize] != 0; h++ {
		if place := &t.places[t.index[h%nameTableSize]-1]; place.name == name {
			place.targets = append(place.targets, new)
			return
		}
	}
	t.places = append(t.places, namePlace{name, []target{new}})
	t.index[h%nameTableSize] = uint8(len(t.places))
}
