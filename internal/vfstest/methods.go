package vfstest

import (
	"path/filepath"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// xOpen opens a file.
func xOpen(tls *libc.TLS, vfs, path, handle uintptr, flags int32, outFlags uintptr) int32 {
	var folder *Folder
	var name string
	if path != 0 { // else a temporary file
		full := libc.GoString(path)
		folder, name = folderOf(full), filepath.Base(full)
	}
	if folder == nil {
		return shim.open(tls, vfs, path, handle, flags, outFlags)
	}
	o := &file{folder: folder, name: name, kind: kindOfFlags(flags)}
	o.syncsFolder = o.kind&(WAL|Journal) != 0 && flags&sqlite3.SQLITE_OPEN_CREATE != 0
	v := folder.before(Open, o.kind)
	if v.code != sqlite3.SQLITE_OK {
		at[sqlite3.Tsqlite3_file](handle).FpMethods = 0 // not open
		return v.code
	}
	code := shim.open(tls, vfs, path, handle, flags, outFlags)
	if code == sqlite3.SQLITE_OK {
		folder.opened(o)
		o.adopt(tls, handle)
	}
	v.after()
	return code
}

// xDelete deletes a file.
func xDelete(tls *libc.TLS, vfs, path uintptr, syncFolder int32) int32 {
	full := libc.GoString(path)
	folder, name := folderOf(full), filepath.Base(full)
	if folder == nil {
		return shim.delete(tls, vfs, path, syncFolder)
	}
	v := folder.before(Delete, kindOfName(name))
	if v.code != sqlite3.SQLITE_OK {
		return v.code
	}
	code := shim.delete(tls, vfs, path, syncFolder)
	if code == sqlite3.SQLITE_OK {
		folder.deleted(name, syncFolder != 0)
	}
	v.after()
	return code
}

// xClose closes a file. From here on the handle may be used for another one.
func xClose(tls *libc.TLS, handle uintptr) int32 {
	shim.mu.Lock()
	o := shim.files[handle]
	delete(shim.files, handle)
	shim.mu.Unlock()
	at[sqlite3.Tsqlite3_file](handle).FpMethods = o.table
	o.folder.closed(o)
	return function[closeFunc](o.methods.FxClose)(tls, handle)
}

// xRead reads from a file.
func xRead(tls *libc.TLS, handle, into uintptr, n int32, offset int64) int32 {
	o := openFile(handle)
	v := o.folder.before(Read, o.kind)
	if v.code != sqlite3.SQLITE_OK {
		return v.code
	}
	code := function[readFunc](o.methods.FxRead)(tls, handle, into, n, offset)
	v.after()
	return code
}

// xWrite writes to a file. Of a write that fails half may be written, as on a
// full disk.
func xWrite(tls *libc.TLS, handle, data uintptr, n int32, offset int64) int32 {
	o := openFile(handle)
	v := o.folder.before(Write, o.kind)
	if v.code != sqlite3.SQLITE_OK {
		n /= 2
		if !v.partial || n == 0 {
			return v.code
		}
	}
	code := function[writeFunc](o.methods.FxWrite)(tls, handle, data, n, offset)
	if code == sqlite3.SQLITE_OK {
		o.folder.wrote(o, offset, unsafe.Slice(at[byte](data), n))
	}
	v.after()
	if v.code != sqlite3.SQLITE_OK {
		return v.code
	}
	return code
}

// xTruncate shortens a file.
func xTruncate(tls *libc.TLS, handle uintptr, size int64) int32 {
	o := openFile(handle)
	v := o.folder.before(Truncate, o.kind)
	if v.code != sqlite3.SQLITE_OK {
		return v.code
	}
	code := function[truncateFunc](o.methods.FxTruncate)(tls, handle, size)
	if code == sqlite3.SQLITE_OK {
		o.folder.truncated(o, size)
	}
	v.after()
	return code
}

// xSync makes a file durable.
func xSync(tls *libc.TLS, handle uintptr, flags int32) int32 {
	o := openFile(handle)
	v := o.folder.before(Sync, o.kind)
	if v.code != sqlite3.SQLITE_OK {
		return v.code
	}
	if v.delay > 0 {
		sqlite3.Xsqlite3_sleep(tls, int32(v.delay.Milliseconds()))
	}
	code := int32(sqlite3.SQLITE_OK)
	if !v.drop {
		begun := o.folder.recorded()
		code = function[syncFunc](o.methods.FxSync)(tls, handle, flags)
		if code == sqlite3.SQLITE_OK {
			o.folder.synced(o, begun)
		}
	}
	v.after()
	return code
}
