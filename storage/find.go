package storage

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ErrNoFile is returned where no file of ours was found.
var ErrNoFile = errors.New("no spanbucket file found")

// findDepth is how many folders deep Find looks, and findSuffixes are the names it
// looks at.
const findDepth = 3

var findSuffixes = []string{".db", ".sqlite", ".sqlite3"}

// Find returns the files of ours in a folder and up to three folders deeper, the
// last written first, equal ones by name. Hidden files and folders are skipped, and
// so are links. A file is ours if its header says so; nothing else of it is read.
// Folders that cannot be read are passed over, but for the first. It returns
// ErrNoFile where there is none.
//
// It must not be called while this process has one of these files open: see the
// package comment.
func Find(folder string) ([]string, error) {
	type found struct {
		path    string
		written time.Time
	}
	var all []found
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		hidden := path != folder && strings.HasPrefix(d.Name(), ".")
		switch {
		case err != nil && path == folder:
			return err
		case err != nil || hidden && d.IsDir():
			return fs.SkipDir
		case d.IsDir() && depth(folder, path) > findDepth:
			return fs.SkipDir
		case hidden, !d.Type().IsRegular(), !slices.Contains(findSuffixes, strings.ToLower(filepath.Ext(path))), !hasOurHeader(path):
			return nil
		}
		all = append(all, found{path, lastWritten(path)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, ErrNoFile
	}
	slices.SortFunc(all, func(a, b found) int {
		if c := b.written.Compare(a.written); c != 0 {
			return c
		}
		return strings.Compare(a.path, b.path)
	})
	paths := make([]string, len(all))
	for i := range all {
		paths[i] = all[i].path
	}
	return paths, nil
}

// depth is how many folders path lies below folder.
func depth(folder, path string) int {
	relative, err := filepath.Rel(folder, path)
	if err != nil || relative == "." {
		return 0
	}
	return strings.Count(filepath.ToSlash(relative), "/") + 1
}

func hasOurHeader(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	header := make([]byte, headerBytes)
	_, err = io.ReadFull(file, header)
	return err == nil && strings.HasPrefix(string(header), sqliteMagic) && isOurs(header)
}

// lastWritten is when the file or its log was: commits go to the log first.
func lastWritten(path string) (last time.Time) {
	for _, name := range []string{path, path + "-wal"} {
		if info, err := os.Stat(name); err == nil && info.Size() > 0 && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}
