package aggregator

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Overflow is the value of every dimension that an overflow series dropped.
const Overflow = "__overflow__"

// MaxValueBytes bounds each text value of a series, in bytes. Longer ones are
// cut on a rune and end in a hash of the whole, so that they stay distinct.
const MaxValueBytes = 256

// Series is one combination of dimension values. Missing is the empty string.
type Series struct {
	Run        string
	Service    string
	Operation  string
	Kind       Kind
	Category   Category
	Provider   string
	Model      string
	Tool       string
	Agent      string
	Outcome    Outcome
	ErrorType  string
	Fault      string
	Dimensions string // JSON object of the configured dimensions, keys ascending; empty for none
}

// SeriesID identifies a series by its content: the first 63 bits of the
// SHA-256 of its values in the order of the fields of Series, each preceded by
// its length in bytes as a big-endian 32-bit number. Two collectors therefore
// agree on it without talking. It is never negative.
type SeriesID int64

// ID derives the identifier.
func (s *Series) ID() SeriesID {
	var stack [512]byte
	buf := stack[:0]
	for _, value := range [...]string{
		s.Run, s.Service, s.Operation, s.Kind.String(), s.Category.String(), s.Provider, s.Model, s.Tool, s.Agent,
		s.Outcome.String(), s.ErrorType, s.Fault, s.Dimensions,
	} {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(value)))
		buf = append(buf, value...)
	}
	sum := sha256.Sum256(buf)
	return SeriesID(binary.BigEndian.Uint64(sum[:8]) >> 1)
}

// Overflowed returns the series that stands for s once the cap on live series
// is reached: service, category and outcome stay, and the run, which every
// span is in; the rest is Overflow.
func (s Series) Overflowed() Series {
	return Series{
		Run: s.Run, Service: s.Service, Category: s.Category, Outcome: s.Outcome,
		Operation: Overflow, Provider: Overflow, Model: Overflow, Tool: Overflow, Agent: Overflow,
		ErrorType: Overflow, Fault: Overflow,
	}
}

// texts returns the free-text values, the ones that instrumentation chooses.
func (s *Series) texts() [10]*string {
	return [...]*string{
		&s.Run, &s.Service, &s.Operation, &s.Provider, &s.Model, &s.Tool, &s.Agent, &s.ErrorType, &s.Fault,
		&s.Dimensions,
	}
}

// compact returns an equal series whose texts lie together in memory of their
// own.
func (s *Series) compact() Series {
	out := *s
	size := 0
	texts := out.texts()
	for _, text := range texts {
		size += len(*text)
	}
	var all strings.Builder
	all.Grow(size)
	for _, text := range texts {
		all.WriteString(*text)
	}
	rest := all.String()
	for _, text := range texts {
		n := len(*text)
		*text, rest = rest[:n], rest[n:]
	}
	return out
}

// Clean makes every value fit to store and returns what it had to change.
func (s *Series) Clean() Note {
	var notes Note
	// Dimensions was assembled from clean values and must stay whole JSON.
	texts := s.texts()
	for _, value := range texts[:len(texts)-1] {
		var n Note
		*value, n = CleanText(*value)
		notes |= n
	}
	return notes
}

// CleanText returns value as it is stored: valid UTF-8, no NUL, at most
// MaxValueBytes long; and notes what it changed. The result shares no memory
// with a value that was longer.
func CleanText(value string) (string, Note) {
	var notes Note
	full := value
	if len(value) > MaxValueBytes {
		notes |= NoteValueTruncated
		// Four bytes more than can stay keep the cut from looking like damage.
		value = strings.Clone(value[:min(len(value), MaxValueBytes+utf8.UTFMax)])
	}
	if !utf8.ValidString(full) {
		notes |= NoteInvalidUTF8
		value = strings.ToValidUTF8(value, "\uFFFD")
	}
	if strings.IndexByte(full, 0) >= 0 {
		notes |= NoteNULByte
		value = strings.ReplaceAll(value, "\x00", "\uFFFD")
	}
	// A replacement is longer than the NUL or the byte it stands for.
	if notes&NoteValueTruncated != 0 || len(value) > MaxValueBytes {
		notes |= NoteValueTruncated
		value = cutWithHash(value, full)
	}
	return value, notes
}

// cutWithHash shortens clean to MaxValueBytes including a 16-digit hash of
// full, on the border of a rune.
func cutWithHash(clean, full string) string {
	sum := sha256.Sum256([]byte(full))
	suffix := "#" + strconv.FormatUint(binary.BigEndian.Uint64(sum[:8])|1<<63, 16)
	keep := min(len(clean), MaxValueBytes-len(suffix))
	for keep > 0 && keep < len(clean) && !utf8.RuneStart(clean[keep]) {
		keep--
	}
	return clean[:keep] + suffix
}
