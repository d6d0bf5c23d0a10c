package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/gofrs/flock"
)

// ErrLocked is returned by Open where another process, or another exporter of
// this one, writes to the file.
var ErrLocked = errors.New("file is in use by another writer")

// A lock is tried for 300 ms.
const (
	lockAttempts        = 15
	lockAttemptInterval = 20 * time.Millisecond
)

// sideLock makes its holder the only writer of a database: an advisory lock on
// a file beside it, never on the database itself. The file names its holder.
type sideLock struct {
	path   string // of the locked file
	holder string
	flock  *flock.Flock
	// write is os.WriteFile but in tests.
	write func(path string, text []byte, mode fs.FileMode) error
}

// lockFile takes the lock of the database at path.
func lockFile(path, holder string) (*sideLock, error) {
	l := &sideLock{path: path + ".lock", holder: holder, write: os.WriteFile}
	if err := l.take(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *sideLock) take() error {
	const attempts = 10 // each lost race means that a holder just left
	for range attempts {
		held, err := l.try()
		if err != nil {
			return fmt.Errorf("lock %s: %w", l.path, err)
		}
		if held {
			return nil
		}
	}
	return fmt.Errorf("lock %s: it changes hands all the time: %w", l.path, ErrLocked)
}

// try takes the lock. It returns false where it locked a file that is no longer
// the one at the path.
func (l *sideLock) try() (held bool, err error) {
	if err := checkRegular(l.path); err != nil {
		return false, err
	}
	l.flock = flock.New(l.path, flock.SetPermissions(0o600))
	if held, err = l.patiently(); err != nil {
		return false, err
	}
	if !held {
		return false, errors.Join(fmt.Errorf("held by %s: %w", holderOf(l.path), ErrLocked), l.flock.Close())
	}
	if !l.holds() {
		// The holder before us removed the file between our open and our lock.
		return false, l.flock.Close()
	}
	if err := checkLeftover(l.path); err != nil {
		return false, errors.Join(err, l.flock.Close())
	}
	err = l.write(l.path, []byte(l.holder+"\n"), 0o600)
	if errors.Is(err, fs.ErrPermission) {
		// A file that a process of another user left behind names the wrong
		// holder; the next attempt makes a new one.
		return false, errors.Join(os.Remove(l.path), l.flock.Close())
	}
	if err != nil {
		// On a full disk, say, a lock without a name does as well. Half a name
		// would be taken for somebody else's text.
		_ = os.Truncate(l.path, 0)
	}
	return true, nil
}

// holderLine is what holderText writes, and what earlier programs wrote.
var holderLine = regexp.MustCompile(
	`^(?:[^\n]*, )?process [0-9]+(?: on host [^\n]*, since [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?\n$`)

// checkLeftover returns an error where what stands in the file of a lock was not
// written by a holder: other programs have files of that name too. A power cut
// may have left zeros.
func checkLeftover(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxHolderBytes+1))
	if err != nil {
		return err
	}
	if len(text) > maxHolderBytes || len(bytes.Trim(text, "\x00")) > 0 && !holderLine.Match(text) {
		return errors.New("it is not the lock of a collector, and is left as it is: choose another path, or remove it")
	}
	return nil
}

// patiently tries for a moment: a command that asks who holds the lock takes it
// for an instant, and a collector that is restarted may still be on its way out.
func (l *sideLock) patiently() (held bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), lockAttempts*lockAttemptInterval)
	defer cancel()
	held, err = l.flock.TryLockContext(ctx, lockAttemptInterval)
	if errors.Is(err, context.DeadlineExceeded) {
		return false, nil
	}
	return held, err
}

// holds tells whether the path of the lock still leads to the file that is
// locked.
func (l *sideLock) holds() bool {
	locked, err := l.flock.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(l.path)
	return err == nil && os.SameFile(locked, there)
}

// renew takes the lock again where its file has gone, as it has when the folder
// was moved. It returns ErrLocked where somebody was quicker.
func (l *sideLock) renew() error {
	if l.holds() {
		return nil
	}
	anew, err := lockFile(strings.TrimSuffix(l.path, ".lock"), l.holder)
	if err != nil {
		return err
	}
	old := l.flock
	l.flock = anew.flock
	return old.Close()
}

// release removes the file while it is still locked, so that nobody can hold a
// lock on a file that is about to go.
func (l *sideLock) release() error {
	var err error
	if l.holds() {
		if err = os.Remove(l.path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return errors.Join(err, l.flock.Close())
}

// maxHolderText bounds what is written and shown of a holder, in bytes.
const maxHolderText = 300

// holderText names the holder of a lock in one line: who it says it is, its
// process and host, and since when.
func holderText(who string, now time.Time) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	if who = oneLine(who); who != "" {
		who += ", "
	}
	return fmt.Sprintf("%sprocess %d on host %s, since %s", who, os.Getpid(), oneLine(host), now.UTC().Format(time.RFC3339))
}

// holderOf returns what the file of a lock says about its holder. Nothing in it
// is trusted.
func holderOf(path string) string {
	const nobody = "an unnamed process"
	f, err := os.Open(path)
	if err != nil {
		return nobody
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 2*maxHolderText))
	if err != nil {
		return nobody
	}
	if line := oneLine(string(text)); line != "" {
		return line
	}
	return nobody
}

// oneLine returns a text that can stand within an error: without control
// characters, and not longer than maxHolderText.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, " "))
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxHolderText {
		text = strings.ToValidUTF8(text[:maxHolderText], "") + "…"
	}
	return text
}
