package storage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// errDamaged is wrapped by errors that say that a file is ours and damaged, or
// that it is a log that lost its file.
var errDamaged = errors.New("file is damaged")

// state is what the bytes of a file and of its log say, before SQLite has seen
// them.
type state struct {
	size, walSize int64
	ours          bool  // it shows that it is ours
	damage        error // why the file is to be set aside; wraps errDamaged
	// begun: the first transaction was cut off. The journal beside the file
	// makes it empty again.
	begun bool
}

// fresh tells whether there is nothing in the file.
func (s state) fresh() bool { return s.size == 0 }

// inspect reads the header of the file at path, and its log where the header
// does not say enough. It changes nothing. It returns ErrForeign and ErrNewer
// for files that must not be touched; a file that it does not return as damaged
// may still be, or be foreign.
//
// Only the holder of the lock may call it, while it has no connection: see the
// package comment.
func inspect(ctx context.Context, path string) (state, error) {
	var s state
	main, err := openRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		main, err = nil, nil
	}
	if err != nil {
		return s, err
	}
	wal, err := openRegular(path + "-wal")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, errors.Join(err, closeIfOpen(main))
	}
	defer func() { _, _ = closeIfOpen(main), closeIfOpen(wal) }()
	if s.size, err = sizeOfOpen(main); err != nil {
		return s, err
	}
	if s.walSize, err = sizeOfOpen(wal); err != nil {
		return s, err
	}
	switch {
	case s.size > 0:
		err = s.inspectMain(ctx, main, wal)
	case s.walSize > 0:
		err = s.inspectOrphan(ctx, wal)
	}
	return s, err
}

// openRegular opens a file that this process may write: it will have to.
func openRegular(path string) (*os.File, error) {
	if err := checkRegular(path); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR, 0)
}

func closeIfOpen(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

func sizeOfOpen(f *os.File) (int64, error) {
	if f == nil {
		return 0, nil
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

const sqliteMagic = "SQLite format 3\x00"

// Offsets of what the header of a database says of it, in bytes. All numbers
// are big-endian; those of two bytes are marked.
const (
	atPageSize       = 16 // two bytes; 1 means 65,536
	atWriteVersion   = 18 // one byte each, this and the next
	atChangeCounter  = 24
	atPages          = 28 // valid where the change counter equals atPagesValidFor
	atSchemaFormat   = 44
	atTextEncoding   = 56
	atUserVersion    = 60
	atApplicationID  = 68
	atPagesValidFor  = 92
	headerBytes      = 100
	identityEndBytes = atApplicationID + 4
)

// inspectMain judges a file that is not empty.
func (s *state) inspectMain(ctx context.Context, main, wal *os.File) error {
	header, err := readStart(main, headerBytes)
	if err != nil {
		return err
	}
	magic := bytes.HasPrefix(header, []byte(sqliteMagic))
	if isOurs(header) {
		s.ours = true
		if n := binary.BigEndian.Uint32(header[atUserVersion:]); n > SchemaVersion {
			return fmt.Errorf("schema %d, known up to %d: %w", n, SchemaVersion, ErrNewer)
		}
		if s.damage = s.damageOfHeader(ctx, wal, header); !magic {
			s.damage = fmt.Errorf("%w: it does not begin as a database does", errDamaged)
		}
		return nil
	}
	named := len(header) >= identityEndBytes && binary.BigEndian.Uint32(header[atApplicationID:]) != 0
	if s.walSize > 0 && !(magic && named) {
		owner, err := walOwner(ctx, wal)
		if err != nil {
			return err
		}
		s.ours = owner == walOurs
	}
	if magic && len(header) == headerBytes {
		return nil // SQLite will say what it is
	}
	return s.inspectUnknown(ctx, main)
}

// readStart reads up to n bytes.
func readStart(f *os.File, n int) ([]byte, error) {
	start := make([]byte, n)
	read, err := f.ReadAt(start, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return start[:read], nil
}

// isOurs tells whether a header, or the first page of a database, has our
// application id.
func isOurs(header []byte) bool {
	return len(header) >= identityEndBytes && binary.BigEndian.Uint32(header[atApplicationID:]) == ApplicationID
}

// inspectUnknown judges a file that is no database, as it is.
func (s *state) inspectUnknown(ctx context.Context, main *os.File) error {
	zero, err := isZero(ctx, main)
	switch {
	case err != nil:
		return err
	case zero && hasJournal(main.Name()):
		s.begun = true
	case zero && s.size <= maxInspectedBytes:
		s.damage = fmt.Errorf("%w: its %d bytes are all zero", errDamaged, s.size)
	case s.ours:
		s.damage = fmt.Errorf("%w: only its log shows whose it is", errDamaged)
	case zero:
		return fmt.Errorf("its first %d MiB are all zero, which does not show whose it is: %w", maxInspectedBytes>>20, ErrForeign)
	default:
		return fmt.Errorf("it is no database: %w", ErrForeign)
	}
	return nil
}

// inspectOrphan judges a log without a database. SQLite would delete it.
func (s *state) inspectOrphan(ctx context.Context, wal *os.File) error {
	owner, err := walOwner(ctx, wal)
	if err != nil {
		return err
	}
	if owner == walForeign {
		return fmt.Errorf("%s has no database, and does not show whose it was: %w", wal.Name(), ErrForeign)
	}
	s.damage = fmt.Errorf("%w: there is a log of %d bytes and no database", errDamaged, s.walSize)
	return nil
}

// damageOfHeader compares the header of a file of ours with what SQLite wrote
// into it.
func (s *state) damageOfHeader(ctx context.Context, wal *os.File, header []byte) error {
	if len(header) < headerBytes {
		return fmt.Errorf("%w: it ends after %d bytes", errDamaged, len(header))
	}
	pageSize := int64(binary.BigEndian.Uint16(header[atPageSize:]))
	if pageSize == 1 {
		pageSize = 1 << 16
	}
	if pageSize < 512 || pageSize&(pageSize-1) != 0 {
		return fmt.Errorf("%w: its page size is %d", errDamaged, pageSize)
	}
	for _, version := range header[atWriteVersion : atWriteVersion+2] {
		if version != 1 && version != 2 {
			return fmt.Errorf("%w: its file format version is %d", errDamaged, version)
		}
	}
	if format := binary.BigEndian.Uint32(header[atSchemaFormat:]); format < 1 || format > 4 {
		return fmt.Errorf("%w: its schema format is %d", errDamaged, format)
	}
	if encoding := binary.BigEndian.Uint32(header[atTextEncoding:]); encoding != 1 {
		return fmt.Errorf("%w: its text encoding is %d", errDamaged, encoding)
	}
	// A log may hold what the file lacks: a checkpoint was interrupted.
	if s.walSize > 0 {
		return s.damageOfEnd(ctx, wal, pageSize)
	}
	pages := int64(binary.BigEndian.Uint32(header[atPages:]))
	counted := bytes.Equal(header[atChangeCounter:atChangeCounter+4], header[atPagesValidFor:atPagesValidFor+4])
	if counted && s.size < pages*pageSize || s.size%pageSize != 0 {
		return fmt.Errorf("%w: it is cut off at %d bytes of %d", errDamaged, s.size, max(pages*pageSize, s.size))
	}
	return nil
}

// damageOfEnd tells of a file that ends within a page which its log does not
// hold.
func (s *state) damageOfEnd(ctx context.Context, wal *os.File, pageSize int64) error {
	if s.size%pageSize == 0 {
		return nil
	}
	held, err := holdsPage(ctx, wal, s.size/pageSize+1)
	if err != nil {
		return fmt.Errorf("%w: it ends within a page, and its log cannot be read: %w", errDamaged, err)
	}
	if !held {
		return fmt.Errorf("%w: it ends within a page, at %d bytes", errDamaged, s.size)
	}
	return nil
}

// journalMagic begins a rollback journal.
// https://sqlite.org/fileformat2.html#the_rollback_journal
var journalMagic = []byte{0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7}

// hasJournal tells whether a journal that SQLite will play back lies beside a
// database.
func hasJournal(path string) bool {
	journal, err := openRegular(path + "-journal")
	if err != nil {
		return false
	}
	start := make([]byte, len(journalMagic))
	_, err = io.ReadFull(journal, start)
	return errors.Join(err, journal.Close()) == nil && bytes.Equal(start, journalMagic)
}

// maxInspectedBytes bounds how much is read of a file to tell whose it is: a
// sparse one takes hours to read and has nothing in it.
const maxInspectedBytes = 64 << 20

// isZero tells whether a file holds nothing but zero bytes, as far as it is
// looked at.
func isZero(ctx context.Context, f *os.File) (bool, error) {
	r := io.NewSectionReader(f, 0, maxInspectedBytes)
	buffer, zeros := make([]byte, 1<<18), make([]byte, 1<<18)
	for {
		n, err := r.Read(buffer)
		if !bytes.Equal(buffer[:n], zeros[:n]) {
			return false, nil
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return false, err
		}
	}
}
