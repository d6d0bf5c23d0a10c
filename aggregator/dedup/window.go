package dedup

import "math/bits"

// Window is an exact set of fingerprints that changes in transactions. The zero
// value is an empty window. It must not be copied, and is for one goroutine at
// a time.
//
// It is one hash table with open addressing. Fingerprints are random numbers,
// so that the place of one is its share of the number range: the table is
// nearly in order, and becoming larger or smaller copies it from front to back.
// Its length need not be a power of two, so that it is never much larger than
// what it holds.
type Window struct {
	slots   []uint64 // 0: empty
	length  int
	pending []uint64
}

// What a table of fingerprints costs, in slots for each: linear probing needs
// a quarter of them empty. With smallSlots or fewer, nothing is saved by being
// exact.
const (
	fullNumerator, fullDenominator = 3, 4 // of slots in use, above which it grows
	growNumerator, growDenominator = 5, 3 // slots for each fingerprint once grown: 13.4 bytes
	shrinkAbove                    = 7    // slots for four fingerprints: 14 bytes
	shrinkTo                       = 6    // slots for four fingerprints: 12 bytes
	smallSlots                     = 64
	pendingShare                   = 4 // of the fingerprints may have room as pending ones: 2 bytes each
	fingerprintBytes               = 8
)

// Len returns how many fingerprints the window holds, pending ones included.
func (w *Window) Len() int { return w.length }

// Bytes returns the memory that the window takes: between transactions at most
// 16 bytes for each fingerprint, from 1,000 on. While it grows, it needs both
// its old and its new table.
func (w *Window) Bytes() int { return (cap(w.slots) + cap(w.pending)) * fingerprintBytes }

// Add puts a fingerprint into the window and tells whether it was not there
// before; it is pending until Commit or Rollback. A 0 stands for a span without
// ids, which is never a duplicate: Add tells true and remembers nothing.
func (w *Window) Add(fingerprint uint64) bool {
	if fingerprint == 0 {
		return true
	}
	if !w.Load(fingerprint) {
		return false
	}
	w.pending = append(w.pending, fingerprint)
	return true
}

// Load puts a fingerprint into the window that is durable already: it is not
// pending. It tells whether the fingerprint was not there before; a 0 is never
// put in.
func (w *Window) Load(fingerprint uint64) bool {
	if fingerprint == 0 {
		return false
	}
	if w.length >= len(w.slots)*fullNumerator/fullDenominator {
		w.resize((w.length + 1) * growNumerator / growDenominator)
	}
	i, found := w.find(fingerprint)
	if found {
		return false
	}
	w.slots[i] = fingerprint
	w.length++
	return true
}

// Has tells whether the window holds a fingerprint, pending or not.
func (w *Window) Has(fingerprint uint64) bool {
	if w.length == 0 || fingerprint == 0 {
		return false
	}
	_, found := w.find(fingerprint)
	return found
}

// Warm brings the slots of fingerprints that will be asked for into the caches
// of the processor, all of them at once: one after another each would be waited
// for. What it returns means nothing.
func (w *Window) Warm(fingerprints []uint64) (sum uint64) {
	if len(w.slots) == 0 {
		return 0
	}
	for _, fingerprint := range fingerprints {
		sum ^= w.slots[w.home(fingerprint)]
	}
	return sum
}

// Reserve makes room for a number of fingerprints in all, so that Load need
// not grow the window step by step.
func (w *Window) Reserve(fingerprints int) {
	if slots := fingerprints * growNumerator / growDenominator; slots > len(w.slots) {
		w.resize(slots)
	}
}

// Remove takes a fingerprint out that is no longer to be remembered. It is for
// the time between transactions: Rollback does not bring it back.
func (w *Window) Remove(fingerprint uint64) {
	w.take(fingerprint)
	w.shrink()
}

// Pending returns the fingerprints that were added since the last Commit or
// Rollback, in order. They belong to the window: they are valid until it
// changes.
func (w *Window) Pending() []uint64 { return w.pending }

// Commit keeps what is pending.
func (w *Window) Commit() {
	w.pending = w.pending[:0]
	w.shrink()
}

// Rollback takes out what is pending, as if it had never been added.
func (w *Window) Rollback() {
	for _, fingerprint := range w.pending {
		w.take(fingerprint)
	}
	w.Commit()
}

// Reset empties the window and frees its memory.
func (w *Window) Reset() { *w = Window{} }

// Clear empties the window and keeps its memory, to be filled again.
func (w *Window) Clear() {
	clear(w.slots)
	w.length, w.pending = 0, w.pending[:0]
}

// home returns the slot in which the search for a fingerprint begins.
func (w *Window) home(fingerprint uint64) int {
	i, _ := bits.Mul64(fingerprint, uint64(len(w.slots)))
	return int(i)
}

// find returns where a fingerprint is, or the empty slot where it belongs.
// There must be an empty slot.
func (w *Window) find(fingerprint uint64) (slot int, found bool) {
	for i := w.home(fingerprint); ; {
		switch w.slots[i] {
		case fingerprint:
			return i, true
		case 0:
			return i, false
		}
		if i++; i == len(w.slots) {
			i = 0
		}
	}
}

// take empties the slot of a fingerprint and moves up what lies behind it and
// could no longer be found, so that there are never more empty slots to step
// over than the set needs.
func (w *Window) take(fingerprint uint64) {
	if w.length == 0 || fingerprint == 0 {
		return
	}
	hole, found := w.find(fingerprint)
	if !found {
		return
	}
	for i := hole; ; {
		if i++; i == len(w.slots) {
			i = 0
		}
		moved := w.slots[i]
		if moved == 0 {
			break
		}
		// It may move up to the hole unless that lies before its home.
		if w.distance(w.home(moved), i) >= w.distance(hole, i) {
			w.slots[hole], hole = moved, i
		}
	}
	w.slots[hole] = 0
	w.length--
}

// distance returns how many steps it takes from one slot to another.
func (w *Window) distance(from, to int) int {
	if to < from {
		to += len(w.slots)
	}
	return to - from
}

// shrink gives memory back that is more than the promise of Bytes.
func (w *Window) shrink() {
	if len(w.pending) == 0 && cap(w.pending) > w.length/pendingShare {
		w.pending = nil
	}
	if len(w.slots) > smallSlots && len(w.slots)*4 > w.length*shrinkAbove {
		w.resize(w.length * shrinkTo / 4)
	}
}

// resize moves everything into a table of the given size.
func (w *Window) resize(slots int) {
	old := w.slots
	w.slots = make([]uint64, max(slots, smallSlots))
	for _, fingerprint := range old {
		if fingerprint != 0 {
			i, _ := w.find(fingerprint)
			w.slots[i] = fingerprint
		}
	}
}
