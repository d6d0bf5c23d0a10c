package storage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// walOwnership says whose a log is.
type walOwnership uint8

const (
	walForeign walOwnership = iota // it does not show that it is ours
	walOurs
	walVoid // nothing is in it
)

// A log begins with a header; each frame is a header and a page.
const (
	walHeaderBytes      = 32
	walFrameHeaderBytes = 24
	walMagic            = 0x377f0682 // the last bit tells the byte order of the checksums
)

// walOwner reads a log as far as it must to tell whose it is.
func walOwner(ctx context.Context, wal *os.File) (walOwnership, error) {
	header, err := readStart(wal, walHeaderBytes)
	if err != nil {
		return walForeign, err
	}
	size, err := sizeOfOpen(wal)
	if err != nil {
		return walForeign, err
	}
	zero, err := isZero(ctx, wal)
	if err != nil {
		return walForeign, err
	}
	if zero && size <= maxInspectedBytes {
		return walVoid, nil
	}
	pageOne, err := lastPageOne(ctx, wal, header)
	if err != nil {
		return walForeign, err
	}
	if pageOne != nil {
		if isOurs(pageOne) {
			return walOurs, nil
		}
		return walForeign, nil
	}
	// Most commits write no first page, but all of them write a row of meta.
	return signed(ctx, wal)
}

// lastPageOne returns the start of the newest first page in a log; nil where it
// has none, or is no log.
func lastPageOne(ctx context.Context, wal *os.File, header []byte) (pageOne []byte, err error) {
	err = eachFrame(ctx, wal, header, func(page uint32, start []byte) {
		if page == 1 {
			pageOne = bytes.Clone(start)
		}
	})
	return pageOne, err
}

// holdsPage tells whether a log holds a page.
func holdsPage(ctx context.Context, wal *os.File, page int64) (found bool, err error) {
	header, err := readStart(wal, walHeaderBytes)
	if err != nil {
		return false, err
	}
	err = eachFrame(ctx, wal, header, func(n uint32, _ []byte) { found = found || int64(n) == page })
	return found, err
}

// eachFrame calls do with the number and the start of every page in a log.
func eachFrame(ctx context.Context, wal *os.File, header []byte, do func(page uint32, start []byte)) error {
	if len(header) < walHeaderBytes || binary.BigEndian.Uint32(header)&^1 != walMagic {
		return nil
	}
	pageSize := int64(binary.BigEndian.Uint32(header[8:]))
	if pageSize < 512 || pageSize > 1<<16 {
		return nil
	}
	salts := header[16:24]
	frame := make([]byte, walFrameHeaderBytes+headerBytes)
	for at := int64(walHeaderBytes); ctx.Err() == nil; at += walFrameHeaderBytes + pageSize {
		if _, err := wal.ReadAt(frame, at); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if !bytes.Equal(frame[8:16], salts) {
			return nil // what follows is of an earlier round
		}
		do(binary.BigEndian.Uint32(frame), frame[walFrameHeaderBytes:])
	}
	return ctx.Err()
}

// metaKeys stand in the page of meta of every file of ours.
var metaKeys = [][]byte{[]byte("histogram_precision_bits"), []byte("writer_id"), []byte("headline_category")}

// signed looks for the keys of meta in a log.
func signed(ctx context.Context, wal *os.File) (walOwnership, error) {
	const longest, step = 64, 1 << 20
	buffer := make([]byte, step+longest)
	found := make([]bool, len(metaKeys))
	for at := int64(0); ; at += step {
		n, err := wal.ReadAt(buffer, at)
		missing := 0
		for i, key := range metaKeys {
			found[i] = found[i] || bytes.Contains(buffer[:n], key)
			if !found[i] {
				missing++
			}
		}
		if missing == 0 {
			return walOurs, nil
		}
		if errors.Is(err, io.EOF) || at >= maxInspectedBytes {
			return walForeign, nil
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return walForeign, err
		}
	}
}
