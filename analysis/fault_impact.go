package analysis

// FaultImpact is the answer to: what did the injected faults do?
type FaultImpact struct {
	Scope
	// Windows are those that the faults are made of, in the order of their
	// start.
	Windows []FaultWindow `json:"windows"`
	// Rows are the faults in the order of their start, one for each run that a
	// fault met.
	Rows []Fault `json:"rows"`
	// Unmet are the faults during which no request started or was in flight, in
	// the order of their start: there is nothing to compare. The first 100.
	Unmet []JoinedFault `json:"unmet"`
	// Left is how many more faults there are: the 100 longest are answered.
	Left int64 `json:"faults_left_out"`
	// UnmetLeft is how many more there are of Unmet.
	UnmetLeft int64 `json:"unmet_left_out"`
	// WidthS is the width of the buckets that tell edges and recovery, seconds.
	WidthS int64 `json:"width_s"`
}

// Fault is what one fault did in one run.
type Fault struct {
	JoinedFault
	// OpenEnd tells whether the data end, or are not settled, before the fault
	// does.
	OpenEnd bool `json:"open_end"`
	// Throughout: the run has no request from before and none from after it, nor
	// another fault to hide one; so it is with Background.
	Throughout bool `json:"throughout"`
	// Before and After are as long as the fault, at least a minute and at most
	// an hour, less where another fault or the end of the data is nearer.
	Before ImpactPhase `json:"before"`
	During ImpactPhase `json:"during"`
	After  ImpactPhase `json:"after"`
	// Straddling are the requests that were in flight when the fault began:
	// they are in none of the phases. nil: not known.
	Straddling          *float64 `json:"straddling"`
	StraddlingEstimated bool     `json:"straddling_estimated"`
	// EdgeShare is the share of the buckets that the fault touches which it
	// cuts. nil: it touches none.
	EdgeShare *float64 `json:"edge_share"`
	// DuringBefore compares during with before, AfterBefore after with before.
	DuringBefore ImpactDelta `json:"during_against_before"`
	AfterBefore  ImpactDelta `json:"after_against_before"`
	// Recovery is recovered, not_recovered or unknown.
	Recovery string `json:"recovery"`
	// RecoveryS is nil unless recovered.
	RecoveryS *float64 `json:"recovery_s"`
	// WatchedS is how long after the end of the fault recovery was looked for.
	WatchedS float64 `json:"watched_s"`
	// WatchEnds says what ended that: data, or fault where the next one began.
	WatchEnds string `json:"watch_ends"`
}

// The values of Fault.Recovery.
const (
	Recovered       = "recovered"
	NotRecovered    = "not_recovered"
	RecoveryUnknown = "unknown"
)

// Worst is the place in Rows of the fault that did most: failed most requests
// more than before, else added most latency at p95 times requests. -1 where none
// raised the error rate by 0.01, or p95 by a tenth.
func (answer *FaultImpact) Worst() int {
	worst, failed, slowest, delay := -1, 0.0, -1, 0.0
	for i := range answer.Rows {
		f := &answer.Rows[i]
		if f.During.Requests == nil {
			continue
		}
		if d := f.DuringBefore.ErrorRate; d != nil && *d >= 0.01 && *d**f.During.Requests > failed {
			worst, failed = i, *d**f.During.Requests
		}
		if d := f.DuringBefore.P95; d != nil && *d >= 1.1 {
			if more := (*f.During.Latency.P95MS - *f.Before.Latency.P95MS) * *f.During.Requests; more > delay {
				slowest, delay = i, more
			}
		}
	}
	if worst < 0 {
		return slowest
	}
	return worst
}

// ImpactPhase sums up the requests that started in one phase.
type ImpactPhase struct {
	// FromNS and ToNS bound it: FromNS <= start < ToNS, Unix nanoseconds.
	FromNS int64 `json:"from_ns"`
	ToNS   int64 `json:"to_ns"`
	// CoveredS is how much of it the figures cover: without the buckets it cuts
	// of which not every request is kept. All else is missing where it is 0.
	CoveredS float64 `json:"covered_s"`
	// Estimated tells whether some figure comes from requests that are a sample.
	Estimated bool     `json:"estimated"`
	Requests  *float64 `json:"requests"` // no integer where estimated
	Errors    *float64 `json:"errors"`
	Injected  *float64 `json:"requests_injected"`
	// RequestsPerS counts all that started, straddling ones too; nil where
	// CoveredS is less than 1.
	RequestsPerS *float64      `json:"requests_per_s"`
	SuccessShare *float64      `json:"success_share"`
	ErrorRate    *float64      `json:"error_rate"`
	Latency      ImpactMeasure `json:"latency"`
	// NetLatency is the latency without the injected delay.
	NetLatency ImpactMeasure `json:"net_latency"`
	TTFT       ImpactMeasure `json:"ttft"`
	// InputTokens and OutputTokens are nil where no request says.
	InputTokens  *float64 `json:"input_tokens"`
	OutputTokens *float64 `json:"output_tokens"`
	CostUSD      *float64 `json:"cost_usd"` // nil where nothing has a price
}

// ImpactMeasure sums up the values of one measure. All but Count are nil where
// it is 0.
type ImpactMeasure struct {
	Count float64  `json:"count"`
	AvgMS *float64 `json:"avg_ms"`
	P50MS *float64 `json:"p50_ms"`
	P95MS *float64 `json:"p95_ms"`
	P99MS *float64 `json:"p99_ms"`
}

// ImpactDelta compares a phase with before: differences of shares, and ratios
// of the rest, 1 being no change. nil where one of the two is missing, or
// before is 0.
type ImpactDelta struct {
	ErrorRate    *float64 `json:"error_rate_difference"`
	RequestsPerS *float64 `json:"requests_per_s_ratio"`
	P50          *float64 `json:"p50_latency_ratio"`
	P95          *float64 `json:"p95_latency_ratio"`
	P99          *float64 `json:"p99_latency_ratio"`
	NetP50       *float64 `json:"p50_net_latency_ratio"`
	NetP95       *float64 `json:"p95_net_latency_ratio"`
	NetP99       *float64 `json:"p99_net_latency_ratio"`
	TTFTP95      *float64 `json:"p95_ttft_ratio"`
}
