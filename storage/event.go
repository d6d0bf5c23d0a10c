package storage

// EventKind says what an Event is about.
type EventKind uint8

// The kinds of events. EventQuarantined: a damaged file, or a log that lost its
// file, was given another name, and a new file begins. EventMoved: the file was
// moved, replaced or deleted while it was written; the writer opens its path
// anew. EventWALPinned: a reader keeps the write-ahead log from being emptied,
// and it has grown large. EventWALReleased: the log is small again.
// EventEngine: the program was built or runs with something that was not tested.
// EventOverSize: the file is larger than it may be, and nothing more can leave
// it. EventFits: it is no longer. EventPruneFailed: what is over its bound could
// not leave several times in a row. EventPruneRecovered: it leaves again.
const (
	EventQuarantined EventKind = iota
	EventMoved
	EventWALPinned
	EventWALReleased
	EventEngine
	EventOverSize
	EventFits
	EventPruneFailed
	EventPruneRecovered
)

// String returns the name of the kind.
func (k EventKind) String() string {
	switch k {
	case EventQuarantined:
		return "quarantined"
	case EventMoved:
		return "moved"
	case EventWALPinned:
		return "wal_pinned"
	case EventWALReleased:
		return "wal_released"
	case EventEngine:
		return "engine"
	case EventOverSize:
		return "over_size"
	case EventFits:
		return "fits"
	case EventPruneFailed:
		return "prune_failed"
	case EventPruneRecovered:
		return "prune_recovered"
	default:
		return "unknown"
	}
}

// Event is something about the file that its owner should hear of. Nothing has
// to be done for the store to go on.
type Event struct {
	Kind EventKind
	// Path of the file the event is about; for EventQuarantined its new name.
	Path string
	// Err says why.
	Err error
	// Bytes is the size of that file.
	Bytes int64
}
