package recording

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// MaxMessageBytes is the size of the largest message that is read, compressed
// or not.
const MaxMessageBytes = 64 << 20

// The first bytes of formats. A protobuf message of spans begins with the tag
// of its field 1, and the length of one that is not too long with at most 3.
var (
	gzipMagic   = []byte{0x1f, 0x8b}
	zstdMagic   = []byte{0x28, 0xb5, 0x2f, 0xfd}
	sqliteMagic = []byte("SQLite format 3\x00")
)

const firstFieldTag = 0x0a

// message is one message of a file, as it stands there.
type message struct {
	data  []byte
	place place
}

// place says where in a file something stands.
type place struct {
	line   int64 // from 1; 0: not a text
	offset int64 // bytes from the beginning, decompressed
}

// endError is why nothing more is read of a file.
type endError struct {
	place place
	cause error
}

func (e *endError) Error() string { return e.cause.Error() + "; nothing is read after it" }

func (e *endError) Unwrap() error { return e.cause }

// messages calls yield with the messages of a file, in order, until it returns
// false. The data belongs to yield. The error is an endError, or one of reading
// at all.
func messages(file io.Reader, yield func(message) bool) error {
	in, closeAll, err := decompressed(file)
	if err != nil {
		return &endError{cause: err}
	}
	defer closeAll()
	first, err := in.Peek(beginning)
	switch {
	case len(first) == 0 && errors.Is(err, io.EOF):
		return nil
	case len(first) == 0:
		return &endError{cause: err}
	case bytes.HasPrefix(first, sqliteMagic):
		return &endError{cause: errors.New("it is a database, not a recording")}
	case first[0] < byte(MaxMessageBytes>>24):
		return prefixed(in, yield)
	case isText(first):
		return lines(in, yield)
	case first[0] == firstFieldTag:
		return single(in, yield)
	}
	return &endError{cause: errors.New("it is neither JSON nor protobuf of OTLP")}
}

// decompressed undoes what a whole file is compressed with.
func decompressed(file io.Reader) (in *bufio.Reader, closeAll func(), err error) {
	const bufferBytes = 1 << 18
	var closers []func()
	closeAll = func() {
		for _, c := range closers {
			c()
		}
	}
	in = bufio.NewReaderSize(file, bufferBytes)
	for depth := 0; ; depth++ {
		first, _ := in.Peek(len(zstdMagic)) // an error comes again
		compressed := bytes.HasPrefix(first, gzipMagic) || bytes.Equal(first, zstdMagic)
		switch {
		case compressed && depth == 2:
			closeAll()
			return nil, nil, errors.New("it is compressed more than twice")
		case bytes.HasPrefix(first, gzipMagic):
			inner, err := gzip.NewReader(in)
			if err != nil {
				closeAll()
				return nil, nil, err
			}
			in = bufio.NewReaderSize(inner, bufferBytes)
		case bytes.Equal(first, zstdMagic):
			inner, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxMessageBytes*2))
			if err != nil {
				closeAll()
				return nil, nil, err
			}
			closers = append(closers, inner.Close)
			in = bufio.NewReaderSize(inner, bufferBytes)
		default:
			return in, closeAll, nil
		}
	}
}

// beginning is how many bytes are looked at to tell a format.
const beginning = 512

// isText tells whether a file that begins so is JSON: an object, after spaces
// or a byte order mark. A line feed and a brace can begin protobuf as well, but
// that has control characters soon.
func isText(first []byte) bool {
	text := bytes.TrimLeft(bytes.TrimPrefix(first, []byte("\ufeff")), " \t\r\n")
	control := bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' && r != '\r' && r != '\n' })
	return len(text) == 0 || text[0] == '{' && !control
}

// prefixed reads messages, each after its length.
func prefixed(in *bufio.Reader, yield func(message) bool) error {
	for at := int64(0); ; {
		var length [4]byte
		switch _, err := io.ReadFull(in, length[:]); {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return &endError{place{offset: at}, errors.New("it ends within the length of a message")}
		case err != nil:
			return &endError{place{offset: at}, err}
		}
		n := int64(binary.BigEndian.Uint32(length[:]))
		if n > MaxMessageBytes {
			return &endError{place{offset: at}, fmt.Errorf("a message of %d bytes, at most %d are read", n, MaxMessageBytes)}
		}
		// What is not there is not made room for.
		var data bytes.Buffer
		got, err := io.CopyN(&data, in, n)
		switch {
		case errors.Is(err, io.EOF):
			return &endError{place{offset: at}, fmt.Errorf("it ends after %d bytes of a message of %d", got, n)}
		case err != nil:
			return &endError{place{offset: at}, err}
		}
		if !yield(message{data.Bytes(), place{offset: at}}) {
			return nil
		}
		at += int64(len(length)) + n
	}
}

// single reads a file that is one message.
func single(in io.Reader, yield func(message) bool) error {
	data, err := io.ReadAll(io.LimitReader(in, MaxMessageBytes+1))
	if err != nil {
		return &endError{cause: err}
	}
	if len(data) > MaxMessageBytes {
		return &endError{cause: fmt.Errorf("a message of more than %d bytes", MaxMessageBytes)}
	}
	yield(message{data: data})
	return nil
}

// lines reads JSON: one message a line or, where the first line is not whole
// and no object begins in the next one, a single message on many lines.
func lines(in *bufio.Reader, yield func(message) bool) error {
	at := place{line: 1}
	for {
		line, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return &endError{at, err}
		}
		end := errors.Is(err, io.EOF)
		text := bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\ufeff")))
		if at.line == 1 && !end && len(text) > 0 && !json.Valid(text) {
			if next, _ := in.Peek(1); len(next) > 0 && next[0] != '{' {
				return single(io.MultiReader(bytes.NewReader(bytes.TrimPrefix(line, []byte("\ufeff"))), in), func(m message) bool {
					m.place = at
					return yield(m)
				})
			}
		}
		if len(text) > 0 && !yield(message{text, at}) || end {
			return nil
		}
		at.line++
		at.offset += int64(len(line))
	}
}

// readLine returns the next line, with its end.
func readLine(in *bufio.Reader) (line []byte, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if line = append(line, part...); !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
		if len(line) > MaxMessageBytes {
			return nil, fmt.Errorf("a line of more than %d bytes", MaxMessageBytes)
		}
	}
}
