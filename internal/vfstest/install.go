// Package vfstest puts faults between SQLite and the disk. It wraps the VFS
// that SQLite uses by default, the layer through which every byte of a database
// goes, so that product code runs unchanged. What happens in a watched folder
// can be recorded, to make what a power cut would have left of it ([Recording]);
// made to fail ([Folder.Inject]); delayed; or ended by killing the process
// ([Folder.KillAt]).
//
// The layer does not see what others do to the files: creating the database
// with os.OpenFile, syncing its folder, locking a file beside it. It is not a
// disk either: what SQLite reads is always what it wrote.
package vfstest

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"unsafe"

	"modernc.org/libc"
	_ "modernc.org/sqlite" // sets SQLite up before the first VFS is asked for
	sqlite3 "modernc.org/sqlite/lib"
)

// The signatures of SQLite's C functions, as translated.
type (
	openFunc     = func(tls *libc.TLS, vfs, path, file uintptr, flags int32, outFlags uintptr) int32
	deleteFunc   = func(tls *libc.TLS, vfs, path uintptr, syncFolder int32) int32
	closeFunc    = func(tls *libc.TLS, file uintptr) int32
	readFunc     = func(tls *libc.TLS, file, into uintptr, n int32, offset int64) int32
	writeFunc    = func(tls *libc.TLS, file, data uintptr, n int32, offset int64) int32
	truncateFunc = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc     = func(tls *libc.TLS, file uintptr, flags int32) int32
)

// shim is what the callbacks work with; SQLite has one list of VFSs for the
// whole process.
var shim struct {
	open   openFunc // of the wrapped VFS
	delete deleteFunc

	mu      sync.RWMutex
	methods map[uintptr]uintptr // our table of methods for each of SQLite's
	files   map[uintptr]*file   // open ones in watched folders, by handle
	folders map[string]*Folder  // by path
}

// file is an open file of a watched folder.
type file struct {
	folder  *Folder
	name    string
	kind    Kind
	methods *sqlite3.Tsqlite3_io_methods // SQLite's own
	table   uintptr                      // where they are
	// syncsFolder: SQLite syncs the folder with the first sync of a log or
	// journal that it may have created.
	syncsFolder bool
}

// at reads a pointer that SQLite handed over as a number.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// function turns a function pointer of the translated C into a Go function, and
// pointer a Go function into such a pointer. It must be a function of the
// package: a closure could be collected.
func function[F any](address uintptr) F { return *(*F)(unsafe.Pointer(&address)) }

func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

// install makes the shim the default VFS of the process. It stays so: files
// outside watched folders are opened as without it.
var install = sync.OnceValue(func() error {
	tls := libc.NewTLS()
	defer tls.Close()
	original := sqlite3.Xsqlite3_vfs_find(tls, 0)
	if original == 0 {
		return errors.New("vfstest: install: SQLite has no default VFS")
	}
	name, err := libc.CString("vfstest")
	if err != nil {
		return fmt.Errorf("vfstest: install: %w", err)
	}
	ours := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_vfs{})))
	if ours == 0 {
		return errors.New("vfstest: install: out of memory")
	}
	vfs := at[sqlite3.Tsqlite3_vfs](ours)
	*vfs = *at[sqlite3.Tsqlite3_vfs](original)
	shim.open, shim.delete = function[openFunc](vfs.FxOpen), function[deleteFunc](vfs.FxDelete)
	shim.methods, shim.files, shim.folders = map[uintptr]uintptr{}, map[uintptr]*file{}, map[string]*Folder{}
	vfs.FpNext, vfs.FzName = 0, name
	vfs.FxOpen, vfs.FxDelete = pointer[openFunc](xOpen), pointer[deleteFunc](xDelete)
	if code := sqlite3.Xsqlite3_vfs_register(tls, ours, 1); code != sqlite3.SQLITE_OK {
		return fmt.Errorf("vfstest: install: register: code %d", code)
	}
	return nil
})

// Watch begins to watch the files of a folder that SQLite opens from now on. A
// folder can be watched once at a time. Close it when done.
func Watch(path string) (*Folder, error) {
	if err := install(); err != nil {
		return nil, err
	}
	path, err := filepath.EvalSymlinks(path) // as SQLite does
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, fmt.Errorf("vfstest: watch: %w", err)
	}
	f := &Folder{path: path}
	shim.mu.Lock()
	defer shim.mu.Unlock()
	if shim.folders[path] != nil {
		return nil, fmt.Errorf("vfstest: watch %s: is watched", path)
	}
	shim.folders[path] = f
	return f, nil
}

// Close ends what is injected, delayed or dropped, and the watch. Files that
// are open go on as if nobody watched.
func (f *Folder) Close() {
	f.Heal()
	f.DelaySyncs(0)
	f.DropSyncs(false)
	f.KillAt(0, false)
	shim.mu.Lock()
	defer shim.mu.Unlock()
	delete(shim.folders, f.path)
}

func folderOf(path string) *Folder {
	shim.mu.RLock()
	defer shim.mu.RUnlock()
	return shim.folders[filepath.Dir(path)]
}

func openFile(handle uintptr) *file {
	shim.mu.RLock()
	defer shim.mu.RUnlock()
	return shim.files[handle]
}

// adopt puts our methods in place of those of a handle that SQLite opened.
func (o *file) adopt(tls *libc.TLS, handle uintptr) {
	shim.mu.Lock()
	defer shim.mu.Unlock()
	head := at[sqlite3.Tsqlite3_file](handle)
	o.table = head.FpMethods
	o.methods = at[sqlite3.Tsqlite3_io_methods](o.table)
	ours, known := shim.methods[o.table]
	if !known {
		ours = libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_io_methods{})))
		methods := at[sqlite3.Tsqlite3_io_methods](ours)
		*methods = *o.methods
		methods.FxClose = pointer[closeFunc](xClose)
		methods.FxRead = pointer[readFunc](xRead)
		methods.FxWrite = pointer[writeFunc](xWrite)
		methods.FxTruncate = pointer[truncateFunc](xTruncate)
		methods.FxSync = pointer[syncFunc](xSync)
		shim.methods[o.table] = ours
	}
	head.FpMethods = ours
	shim.files[handle] = o
}
