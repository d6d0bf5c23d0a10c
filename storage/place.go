package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// checkRegular returns an error for something at path that is no regular file,
// and nil where there is nothing. It does not follow a link: opening what is
// behind it may block, or be somebody else's.
func checkRegular(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a folder", path)
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s is a symbolic link to %s, which cannot be reached: %w", path, target, err)
		}
		return fmt.Errorf("%s is a symbolic link to %s", path, target)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", path)
	}
	return nil
}

// resolvePath makes the folders of a path, each of them durable, and returns
// the path without symbolic links, so that two names of a file have one lock.
func resolvePath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	folder := filepath.Dir(path)
	if err := makeFolders(folder); err != nil {
		return "", err
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved, errors.Join(checkRegular(resolved), checkLinks(resolved))
	}
	if folder, err = filepath.EvalSymlinks(folder); err != nil {
		return "", err
	}
	path = filepath.Join(folder, filepath.Base(path))
	return path, checkRegular(path)
}

// checkLinks returns an error for a file that has more than one name: each of
// them would have a lock, and a log, of its own.
func checkLinks(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if n := linksOf(info); info.Mode().IsRegular() && n > 1 {
		return fmt.Errorf("%s has %d names (hard links), and two of them could be written at once: "+
			"remove the others, or make them copies", path, n)
	}
	return nil
}

// makeFolders makes a folder and its parents, each of them durable.
func makeFolders(folder string) error {
	var parents []string // of the folders that are missing
	for missing := folder; ; missing = filepath.Dir(missing) {
		if _, err := os.Stat(missing); err == nil || missing == filepath.Dir(missing) {
			break
		}
		parents = append(parents, filepath.Dir(missing))
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for _, parent := range parents {
		if err := syncFolder(parent); err != nil {
			return err
		}
	}
	return nil
}

// createFile makes an empty file with the wanted mode, where there is none:
// SQLite would create it with whatever the umask leaves. The files it creates
// beside the database get the mode of the database.
func createFile(path string, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(mode), f.Sync(), f.Close())
}

// syncFolder makes the entry of a new file survive a power cut.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
