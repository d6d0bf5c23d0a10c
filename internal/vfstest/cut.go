package vfstest

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Keep says what a power cut leaves of what was written but not synced.
type Keep uint8

// KeepNothing loses all of it; KeepHalf any part, in units of a write, so that
// a later one can survive an earlier; KeepTorn the same in units of sectors;
// KeepAll nothing, as when only the process dies.
const (
	KeepNothing Keep = iota
	KeepHalf
	KeepTorn
	KeepAll

	NumKeeps = iota
)

// String names it for messages.
func (k Keep) String() string { return [NumKeeps]string{"nothing", "half", "torn", "all"}[k] }

// sector is what a disk writes whole, in bytes.
const sector = 512

const privateFile fs.FileMode = 0o600

// Cut is a power cut.
type Cut struct {
	// Position is how many entries of the recording happened before it.
	Position int
	Keep     Keep
	// StrictNames makes creating and deleting files durable only by a sync of
	// the folder, as POSIX has it. Otherwise names become durable in the order
	// they changed, and at the latest with the next sync of any file, as on
	// ext4 and xfs.
	StrictNames bool
}

// String names it for messages.
func (c Cut) String() string {
	return fmt.Sprintf("cut at %d, keeping %s of what was not synced, strict names %v", c.Position, c.Keep, c.StrictNames)
}

// horizon is up to which position of a recording things are durable at a cut.
type horizon struct {
	files map[int]int // content, by number of the file
	names int
}

func (r *Recording) horizonOf(c Cut) horizon {
	h := horizon{files: map[int]int{}}
	for _, e := range r.entries[:c.Position] {
		switch e.action {
		case actionSync:
			h.files[e.file] = max(h.files[e.file], e.covers)
			if !c.StrictNames {
				h.names = max(h.names, e.covers)
			}
		case actionSyncFolder:
			h.names = max(h.names, e.covers)
		}
	}
	return h
}

// Write makes the files that a cut leaves, in an empty folder that nobody
// watches. What survives by chance is drawn from rng.
func (r *Recording) Write(rng *rand.Rand, c Cut, folder string) error {
	r.folder.mu.Lock()
	defer r.folder.mu.Unlock()
	left := r.replay(rng, c)
	for name, content := range left {
		if err := os.WriteFile(filepath.Join(folder, name), content, privateFile); err != nil {
			return fmt.Errorf("vfstest: %v: %w", c, err)
		}
	}
	return nil
}

func (r *Recording) replay(rng *rand.Rand, c Cut) map[string][]byte {
	durable := r.horizonOf(c)
	names, contents := map[string]int{}, map[int][]byte{}
	for i, initial := range r.initial {
		names[initial.name] = i + 1
		contents[i+1] = append([]byte(nil), initial.content...)
	}
	inOrder := true
	for i, e := range r.entries[:c.Position] {
		switch e.action {
		case actionWrite:
			contents[e.file] = overlay(contents[e.file], e, c.Keep, i < durable.files[e.file], rng)
		case actionTruncate:
			if size := int(e.offset); size < len(contents[e.file]) && (i < durable.files[e.file] || c.Keep.survives(rng)) {
				contents[e.file] = contents[e.file][:size]
			}
		case actionCreate, actionRemove:
			kept := i < durable.names || inOrder && c.Keep.survives(rng)
			if !kept {
				// Without strict names nothing overtakes what was lost.
				inOrder = c.StrictNames
				continue
			}
			if e.action == actionRemove {
				delete(names, e.name)
			} else {
				names[e.name] = e.file
			}
		}
	}
	left := map[string][]byte{}
	for name, number := range names {
		left[name] = contents[number]
	}
	return left
}

// survives draws whether one thing that was not synced survives.
func (k Keep) survives(rng *rand.Rand) bool {
	switch k {
	case KeepNothing:
		return false
	case KeepAll:
		return true
	}
	return rng.IntN(2) == 0
}

// overlay applies a write to the content of a file: whole where it is durable,
// else what survives of it.
func overlay(content []byte, e entry, keep Keep, durable bool, rng *rand.Rand) []byte {
	if durable || keep != KeepTorn {
		if durable || keep.survives(rng) {
			content = put(content, int(e.offset), e.data)
		}
		return content
	}
	for from := 0; from < len(e.data); {
		offset := int(e.offset) + from
		to := min(from+sector-offset%sector, len(e.data))
		if keep.survives(rng) {
			content = put(content, offset, e.data[from:to])
		}
		from = to
	}
	return content
}

func put(content []byte, offset int, data []byte) []byte {
	if missing := offset + len(data) - len(content); missing > 0 {
		content = append(content, make([]byte, missing)...)
	}
	copy(content[offset:], data)
	return content
}
