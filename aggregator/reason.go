package aggregator

// Rejection says why a span was not folded. Each becomes a row of the ledger,
// beside received, folded, duplicate and dead_letter: a partition.
type Rejection uint8

// The rejections. NotRejected is the zero value and no row of the ledger.
const (
	NotRejected Rejection = iota
	RejectedNoStartTime
	RejectedStartInFuture
	RejectedOverflow
	NumRejections
)

var rejectionNames = [NumRejections]string{
	NotRejected: "folded", RejectedNoStartTime: "no_start_time", RejectedStartInFuture: "start_in_future",
	RejectedOverflow: "overflow",
}

// String returns the reason as the ledger names it.
func (r Rejection) String() string { return rejectionNames[r] }

// Note marks something remarkable about a span that was folded. Notes are bits
// and combine; each becomes a row of the relation notes.
type Note uint32

// The notes.
const (
	NoteEndBeforeStart Note = 1 << iota
	NoteNoEndTime
	NoteDurationTooLong
	NoteZeroID
	NoteNoServiceName
	NoteInvalidUTF8
	NoteNULByte
	NoteValueTruncated
	NoteInvalidAttributeType
	NoteInvalidNumber
	NoteInvalidTraceState
	NoteTooManyEvents
	numNotes = iota
)

var noteNames = [numNotes]string{
	"end_before_start", "no_end_time", "duration_too_long", "zero_id", "no_service_name", "invalid_utf8",
	"nul_byte", "value_truncated", "invalid_attribute_type", "invalid_number", "invalid_trace_state",
	"too_many_events",
}

// Names calls yield with the name of every note in the set.
func (n Note) Names(yield func(name string) bool) {
	for i := 0; n != 0; i, n = i+1, n>>1 {
		if n&1 != 0 && !yield(noteNames[i]) {
			return
		}
	}
}

// noteCounts counts spans per note; index i belongs to the bit 1<<i.
type noteCounts [numNotes]int64

func (c *noteCounts) add(notes Note) {
	for i := 0; notes != 0; i, notes = i+1, notes>>1 {
		if notes&1 != 0 {
			c[i]++
		}
	}
}
