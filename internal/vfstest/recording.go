package vfstest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrRecordingFull is returned for a recording that would have needed more
// memory than it was given.
var ErrRecordingFull = errors.New("recording is full")

// action is what an entry of a recording says.
type action uint8

const (
	actionWrite      action = iota
	actionTruncate          // to offset
	actionSync              // of a file
	actionCreate            // name now leads to the file
	actionRemove            // of name
	actionSyncFolder        // of the folder's names
	actionMark              // by the test
)

type entry struct {
	action action
	file   int // number, for what is done to content
	name   string
	offset int64
	data   []byte
	// covers is how many entries came before a sync began: those it makes
	// durable. What was written while it ran it may have missed.
	covers int
	mark   int
}

// Recording is everything that SQLite did to the files of a folder, in order,
// with marks of the test in between. Positions in it count entries.
type Recording struct {
	folder *Folder // whose mutex guards it
	room   int     // bytes that may still be recorded

	initial []initialFile        // the files of the folder when it began; the first is number 1
	names   map[string]namedFile // what a name leads to
	open    map[*file]int        // number of a file that is open
	files   int
	entries []entry
	err     error
}

type initialFile struct {
	name    string
	content []byte
}

type namedFile struct {
	number int
	info   fs.FileInfo // that it had when it was first seen
}

// Record begins a recording, which keeps at most maxBytes of content in memory.
// What the folder holds by now counts as durable; nothing in it may be open.
func (f *Folder) Record(maxBytes int) (*Recording, error) {
	r := &Recording{folder: f, room: maxBytes, names: map[string]namedFile{}, open: map[*file]int{}}
	present, err := os.ReadDir(f.path)
	if err != nil {
		return nil, fmt.Errorf("vfstest: record: %w", err)
	}
	for _, entry := range present {
		if !entry.Type().IsRegular() || !survives(entry.Name()) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(f.path, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("vfstest: record: %w", err)
		}
		r.initial = append(r.initial, initialFile{entry.Name(), content})
		if _, err := r.number(entry.Name()); err != nil {
			return nil, fmt.Errorf("vfstest: record: %w", err)
		}
		r.room -= len(content)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recording = r
	return r, nil
}

// survives tells whether a file matters after a power cut: the index of the log
// is built anew, and a lock dies with its holder.
func survives(name string) bool {
	return !strings.HasSuffix(name, "-shm") && !strings.HasSuffix(name, ".lock")
}

// Stop ends the recording. It returns ErrRecordingFull where that has cut it
// short, and another error where files changed in a way it did not see.
func (r *Recording) Stop() error {
	r.folder.mu.Lock()
	defer r.folder.mu.Unlock()
	if r.folder.recording == r {
		r.folder.recording = nil
	}
	if r.err != nil {
		return fmt.Errorf("vfstest: record: %w", r.err)
	}
	return nil
}

// Mark puts a mark of the test behind what has been done so far.
func (r *Recording) Mark(mark int) {
	r.folder.mu.Lock()
	defer r.folder.mu.Unlock()
	r.add(entry{action: actionMark, mark: mark})
}

// FolderSynced says that the product synced the folder through the operating
// system, where the shim cannot see it. Called later than it happened it only
// makes a test harder: names count as durable from the call on.
func (r *Recording) FolderSynced() {
	r.folder.mu.Lock()
	defer r.folder.mu.Unlock()
	r.add(entry{action: actionSyncFolder, covers: len(r.entries)})
}

// Len returns the number of entries.
func (r *Recording) Len() int {
	r.folder.mu.Lock()
	defer r.folder.mu.Unlock()
	return len(r.entries)
}

// Marks returns the marks before a position.
func (r *Recording) Marks(position int) (marks []int) {
	r.folder.mu.Lock()
	defer r.folder.mu.Unlock()
	for _, e := range r.entries[:position] {
		if e.action == actionMark {
			marks = append(marks, e.mark)
		}
	}
	return marks
}

func (r *Recording) add(e entry) {
	const overhead = 96 // of an entry without data
	if r.room -= overhead + len(e.data); r.room < 0 {
		if !errors.Is(r.err, ErrRecordingFull) {
			r.err = errors.Join(r.err, ErrRecordingFull)
		}
		return
	}
	r.entries = append(r.entries, e)
}

// number makes a name lead to a new file.
func (r *Recording) number(name string) (named namedFile, err error) {
	r.files++
	named.number = r.files
	named.info, err = os.Stat(filepath.Join(r.folder.path, name))
	r.names[name] = named
	return named, err
}

// What follows is called by the callbacks, after the operation has succeeded.

func (f *Folder) record(what func(r *Recording)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.recording != nil {
		what(f.recording)
	}
}

func (f *Folder) opened(o *file) {
	f.record(func(r *Recording) {
		named, known := r.names[o.name]
		var err error
		if known {
			err = named.stillAt(filepath.Join(f.path, o.name))
		} else if named, err = r.number(o.name); err == nil {
			// Whether SQLite has just created it or the product a while ago:
			// its name is not durable yet.
			r.add(entry{action: actionCreate, file: named.number, name: o.name})
			if size := named.info.Size(); size != 0 {
				err = fmt.Errorf("%s had %d bytes before SQLite opened it", o.name, size)
			}
		}
		r.err = errors.Join(r.err, err)
		r.open[o] = named.number
	})
}

// stillAt returns an error where a path leads to another file: the recording
// does not know what happened.
func (n *namedFile) stillAt(path string) error {
	info, err := os.Stat(path)
	if err == nil && !os.SameFile(info, n.info) {
		err = fmt.Errorf("%s was replaced behind SQLite", path)
	}
	return err
}

func (f *Folder) closed(o *file) { f.record(func(r *Recording) { delete(r.open, o) }) }

func (f *Folder) wrote(o *file, offset int64, data []byte) {
	f.record(func(r *Recording) {
		r.add(entry{action: actionWrite, file: r.open[o], name: o.name, offset: offset, data: append([]byte(nil), data...)})
	})
}

func (f *Folder) truncated(o *file, size int64) {
	f.record(func(r *Recording) {
		r.add(entry{action: actionTruncate, file: r.open[o], name: o.name, offset: size})
	})
}

// recorded returns the position a sync begins at.
func (f *Folder) recorded() (position int) {
	f.record(func(r *Recording) { position = len(r.entries) })
	return position
}

func (f *Folder) synced(o *file, covers int) {
	f.record(func(r *Recording) {
		r.add(entry{action: actionSync, file: r.open[o], name: o.name, covers: covers})
		if o.syncsFolder {
			r.add(entry{action: actionSyncFolder, covers: covers})
		}
		o.syncsFolder = false
	})
}

func (f *Folder) deleted(name string, syncFolder bool) {
	f.record(func(r *Recording) {
		delete(r.names, name)
		r.add(entry{action: actionRemove, name: name})
		if syncFolder {
			r.add(entry{action: actionSyncFolder, covers: len(r.entries)})
		}
	})
}
