package report

import "github.com/spanbucket/spanbucketexporter/analysis"

// SchemaVersion is the version of the JSON of a [Report]: fields may be added
// under the same number, never renamed or dropped.
const SchemaVersion = 1

// Report is everything that a report shows. Its JSON is what the page draws.
type Report struct {
	SchemaVersion int `json:"schema_version"`
	// FileSchemaVersion is that of the file.
	FileSchemaVersion int64 `json:"file_schema_version"`
	// Headline names the categories that the file calls requests.
	Headline []string `json:"headline_categories"`
	// FromUTC and ToUTC are the interval that is covered, half-open; nil where
	// it holds nothing.
	FromUTC *string `json:"from_utc"`
	ToUTC   *string `json:"to_utc"`
	// Open are the buckets that were left out because they had not settled.
	Open analysis.Open `json:"open"`
	// Runs, newest first, at most [MaxListedRuns]; RunsTotal counts all.
	Runs      []Run `json:"runs"`
	RunsTotal int   `json:"runs_total"`
	// Categories that have spans: those of the headline first, then the most
	// spans first.
	Categories []Category `json:"categories"`
	// FaultWindows of the interval in the order of their start, at most
	// [MaxListedWindows]; FaultWindowsTotal counts all.
	FaultWindows      []FaultWindow `json:"fault_windows"`
	FaultWindowsTotal int           `json:"fault_windows_total"`
	// Faults are what these windows tell of, joined as in the answer about their
	// impact: in the order of their start, at most [MaxListedWindows];
	// FaultsTotal counts all. No request needs to have met them.
	Faults      []analysis.JoinedFault `json:"faults"`
	FaultsTotal int                    `json:"faults_total"`
	// Ledger and Notes are those of the file: received and folded first.
	Ledger []analysis.Count `json:"ledger"`
	Notes  []analysis.Count `json:"notes"`
	// Pruned says what has left the file by age, number or size.
	Pruned []analysis.Pruned `json:"pruned"`
	// LeftOut says in sentences what a bound of the report kept out of it.
	LeftOut []string `json:"left_out"`
	// Picks: the first is the one to show first.
	Picks []Pick `json:"picks"`
}

// Run is a run of the file.
type Run struct {
	analysis.Run
	Pinned bool `json:"pinned"`
	Open   bool `json:"open"`
	// Picked tells whether the report has picks of it.
	Picked bool `json:"picked"`
	// Mode, Profile and Preset are what it says of itself; nil: nothing.
	Mode    *string `json:"mode"`
	Profile *string `json:"profile"`
	Preset  *string `json:"preset"`
	// Loop is how its load was made: closed, open, or nil where it does not say.
	Loop *string `json:"loop"`
	// ConfigJSON is its configuration, as the file has it, of the newest runs and
	// the one that is asked for; nil for the others, where it says none, and
	// where it is longer than 16 KiB.
	ConfigJSON *string `json:"config_json"`
	// Settings are all of these in words, Remarks what they mean for the figures.
	Settings []Setting `json:"settings"`
	Remarks  []string  `json:"remarks"`
}

// Category is a category of the file and what its spans add up to.
type Category struct {
	analysis.CategoryRow
	Headline bool `json:"headline"` // the file calls its spans requests
	// Picked tells whether the report has picks of it.
	Picked bool `json:"picked"`
}

// FaultWindow is an interval [StartNS, EndNS] in which a fault was injected.
type FaultWindow = analysis.FaultWindow

// Pick is all that is known about the spans of one run, or of every run, and of
// one category, or of the headline categories folded.
type Pick struct {
	run     *pickedRun
	windows *analysis.FaultWindows // of the file; nil where it is of a schema without
	// RunID is nil for every run; "" are the spans outside any.
	RunID *string `json:"run_id"`
	// Category is "" for the headline categories folded.
	Category   string   `json:"category"`
	Categories []string `json:"categories"` // that are folded
	// FromUTC and ToUTC are the interval that is covered, half-open; nil where
	// it holds nothing.
	FromUTC *string `json:"from_utc"`
	ToUTC   *string `json:"to_utc"`
	// Totals is nil where there are no spans.
	Totals *analysis.CategoryRow `json:"totals"`
	// Charts, narrowest width first, one at least where there are spans.
	Charts []Chart `json:"charts"`
	// Tables of latency, one per dimension that some span has.
	Tables []Table `json:"tables"`
	Answers
}

// Chart is the course of a pick over time, in columns: each has Buckets
// elements. An element is null where there is no such figure. Figures are
// rounded to microseconds.
type Chart struct {
	WidthS  int64 `json:"width_s"`
	Start   int64 `json:"start"` // of the first bucket, Unix seconds
	Buckets int   `json:"buckets"`
	// PartialFirst and PartialLast tell whether the data begins or ends inside
	// the first or the last bucket.
	PartialFirst bool `json:"partial_first"`
	PartialLast  bool `json:"partial_last"`
	// Outcomes holds those that occur.
	Outcomes  map[string][]int64 `json:"outcomes"`
	Injected  []int64            `json:"injected"`
	AvgMS     []*Figure          `json:"avg_ms"`
	P50MS     []*Figure          `json:"p50_ms"`
	P95MS     []*Figure          `json:"p95_ms"`
	P99MS     []*Figure          `json:"p99_ms"`
	MaxMS     []*Figure          `json:"max_ms"`
	TTFTP50MS []*Figure          `json:"ttft_p50_ms"`
	TTFTP95MS []*Figure          `json:"ttft_p95_ms"`
	TTFTP99MS []*Figure          `json:"ttft_p99_ms"`
	// InputTokens and OutputTokens are null in buckets where no span tells.
	InputTokens  []*int64  `json:"input_tokens"`
	OutputTokens []*int64  `json:"output_tokens"`
	CostUSD      []*Figure `json:"cost_usd"`
	Heat         Heat      `json:"heat"`
}

// Heat counts the requests of a chart by bucket and band of latency.
type Heat struct {
	// BandsMS are the edges of the bands, ascending, milliseconds: band i
	// covers [BandsMS[i], BandsMS[i+1]), the last its upper edge too. One more
	// than there are bands; empty where there is no latency.
	BandsMS []Figure `json:"bands_ms"`
	// Cells are [bucket, band, requests], ascending; those of none are left out.
	Cells [][3]int64 `json:"cells"`
}

// Table is latency by one dimension.
type Table struct {
	By string `json:"by"`
	// Rows, most requests first, at most [MaxTableRows].
	Rows []analysis.LatencyRow `json:"rows"`
	// Other sums up the rows beyond, of which there are OtherGroups; nil where
	// there is none.
	Other       *analysis.LatencyRow `json:"other"`
	OtherGroups int                  `json:"other_groups"`
	RowsTotal   int                  `json:"rows_total"`
}
