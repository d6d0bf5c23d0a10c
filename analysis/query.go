package analysis

import (
	"errors"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// ErrQuery is returned for a query that cannot be asked of the file: an
// unknown width, category, run or dimension.
var ErrQuery = errors.New("cannot be asked")

// QueryError says which part of a query cannot be asked of the file. It wraps
// ErrQuery.
type QueryError struct {
	// Part is run, width, by, warmup or min-change.
	Part string
	// Value is what was asked for, as it is to be shown, Rule what is wrong with
	// it, and what would be right.
	Value, Rule string
}

func (e *QueryError) Error() string { return e.Part + " " + e.Value + ": " + e.Rule }

// Unwrap returns ErrQuery.
func (e *QueryError) Unwrap() error { return ErrQuery }

// Query is what every question takes.
type Query struct {
	// From and To bound the start of spans: From <= start < To. The zero time
	// means: no bound.
	From, To time.Time
	// FromData and ToData tell that From, or To, is no end that was asked for,
	// but one that leaves out nothing: rates are over the time with requests.
	FromData, ToData bool
	// Run restricts the answer to one run, "" being the spans outside any; nil
	// means every run.
	Run *string
	// Categories restrict the answer; empty means the headline categories of
	// the file.
	Categories []aggregator.Category
	// Width is the width of the buckets to read, in seconds; 0 leaves the
	// choice to the question.
	Width int64
	// IncludeOpen takes buckets into account that have not settled.
	IncludeOpen bool
	// Now decides what has settled.
	Now time.Time
}

// Scope says what an answer covers.
type Scope struct {
	// FromUTC and ToUTC are the interval that was read, half-open,
	// YYYY-MM-DDTHH:MM:SSZ; nil where it holds nothing.
	FromUTC *string `json:"from_utc"`
	ToUTC   *string `json:"to_utc"`
	// RunID is nil for every run.
	RunID *string `json:"run_id"`
	// Categories is empty for every category.
	Categories []string `json:"categories"`
	// Segments are the parts of the interval and the widths they were read
	// from; width 0 is for single requests, of buckets that the interval cuts.
	Segments []Segment `json:"segments"`
	// Open are the buckets that were left out because they had not settled.
	Open Open `json:"open"`
	// Moved tells whether an end of the interval that was asked for had to be
	// moved outwards to the edge of a bucket.
	Moved bool `json:"moved"`
}

// Open counts buckets that had not settled.
type Open struct {
	Included bool  `json:"included"` // they were not left out: the other fields are 0
	WidthS   int64 `json:"width_s"`
	Buckets  int64 `json:"buckets"`  // of that width, with at least one span
	Requests int64 `json:"requests"` // spans in them
	// SettledUTC is when the last of them will have settled; nil for none.
	SettledUTC *string `json:"settled_utc"`
}

// utc formats Unix seconds as every *_utc column does.
func utc(seconds int64) *string {
	text := time.Unix(seconds, 0).UTC().Format("2006-01-02T15:04:05Z")
	return &text
}
