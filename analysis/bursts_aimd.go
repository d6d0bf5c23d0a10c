package analysis

import "github.com/spanbucket/spanbucketexporter/aggregator"

// AIMD says how clients behaved that should back off when they are refused, and
// speed up again carefully: additive increase, multiplicative decrease.
type AIMD struct {
	// NormalSuccessPerS and BurstSuccessPerS are successes per second of the
	// buckets with requests outside and inside bursts, without those that are
	// cut; nil where there are none.
	NormalSuccessPerS *float64 `json:"normal_success_per_s"`
	BurstSuccessPerS  *float64 `json:"burst_success_per_s"`
	// DegradationShare is by how much the throughput was lower in bursts:
	// (normal-burst)/normal.
	DegradationShare *float64 `json:"degradation_share"`
	// RefusedShare is the share of all requests that were refused, of which
	// BackoffRatio counts only those over a rate limit.
	RefusedShare *float64 `json:"refused_share"`
	BackoffRatio *float64 `json:"backoff_ratio"`
	// Backoff is EFFECTIVE for a BackoffRatio below 0.1, MODERATE below 0.3,
	// else INEFFECTIVE; empty where nothing supports a word: less than ten
	// requests over a rate limit, or less than half of those that were refused.
	Backoff string `json:"backoff"`
	// Resends is nil where no request says any, ClientResends where no span of
	// an HTTP client does, or where requests do: see Burst.
	Resends       *int64 `json:"resends"`
	ClientResends *int64 `json:"client_resends"`
	// AvgRecoveryS and MaxRecoveryS are of the Recovered bursts; nil without.
	Recovered    int      `json:"recovered"`
	AvgRecoveryS *float64 `json:"avg_recovery_s"`
	MaxRecoveryS *int64   `json:"max_recovery_s"`
	// Trend compares the refused share of the first third of the bursts with
	// that of the last: IMPROVING when it falls by a tenth of itself or more,
	// WORSENING when it rises by as much, else STEADY; empty for fewer than
	// three bursts.
	Trend string `json:"trend"`
}

// The words for what clients did.
const (
	BackoffEffective   = "EFFECTIVE"
	BackoffModerate    = "MODERATE"
	BackoffIneffective = "INEFFECTIVE"
	TrendImproving     = "IMPROVING"
	TrendSteady        = "STEADY"
	TrendWorsening     = "WORSENING"
)

// The thresholds of those words.
const (
	backoffEffectiveBelow = 0.1
	backoffModerateBelow  = 0.3
	backoffRateLimited    = 10  // requests, at least
	backoffOfRefused      = 0.5 // of those that were refused, at least
	trendChange           = 0.1
	trendBursts           = 3
)

// aimd sums up how clients behaved; nil without requests.
func (t *ticks) aimd(sum *tick, all []Burst) *AIMD {
	if sum.requests == 0 {
		return nil
	}
	a := &AIMD{
		RefusedShare: sum.refusedShare(),
		BackoffRatio: share(sum.outcomes[aggregator.OutcomeRateLimited], sum.requests), Trend: burstTrend(all),
	}
	switch limited := sum.outcomes[aggregator.OutcomeRateLimited]; {
	case limited < backoffRateLimited || float64(limited) < backoffOfRefused*float64(sum.outcomes.Refused()):
	case *a.BackoffRatio < backoffEffectiveBelow:
		a.Backoff = BackoffEffective
	case *a.BackoffRatio < backoffModerateBelow:
		a.Backoff = BackoffModerate
	default:
		a.Backoff = BackoffIneffective
	}
	a.NormalSuccessPerS, a.BurstSuccessPerS = t.throughput(all)
	if a.NormalSuccessPerS != nil && a.BurstSuccessPerS != nil && *a.NormalSuccessPerS > 0 {
		degradation := (*a.NormalSuccessPerS - *a.BurstSuccessPerS) / *a.NormalSuccessPerS
		a.DegradationShare = &degradation
	}
	var total int64
	for i := range all {
		if s := all[i].RecoveryS; s != nil {
			a.Recovered++
			total += *s
			if a.MaxRecoveryS == nil || *s > *a.MaxRecoveryS {
				a.MaxRecoveryS = s
			}
		}
	}
	if a.Recovered > 0 {
		avg := float64(total) / float64(a.Recovered)
		a.AvgRecoveryS = &avg
	}
	return a
}

// throughput returns successes per second outside and inside of bursts.
func (t *ticks) throughput(all []Burst) (normal, burst *float64) {
	var success, buckets [2]int64 // [1]: in a burst
	next := 0
	for i := range t.rows {
		for next < len(all) && i >= all[next].to {
			next++
		}
		if t.cut(i) || t.rows[i].requests == 0 {
			continue
		}
		in := 0
		if next < len(all) && i >= all[next].from {
			in = 1
		}
		success[in] += t.rows[i].outcomes.Success()
		buckets[in]++
	}
	return share(success[0], buckets[0]*t.widthS), share(success[1], buckets[1]*t.widthS)
}

func burstTrend(all []Burst) string {
	if len(all) < trendBursts {
		return ""
	}
	third := len(all) / 3
	rejection := func(bursts []Burst) float64 {
		var refused, requests int64
		for i := range bursts {
			refused += bursts[i].RateLimited + bursts[i].CapacityErrors
			requests += bursts[i].Requests
		}
		return float64(refused) / float64(requests)
	}
	first, last := rejection(all[:third]), rejection(all[len(all)-third:])
	switch {
	case last <= first*(1-trendChange):
		return TrendImproving
	case last >= first*(1+trendChange):
		return TrendWorsening
	}
	return TrendSteady
}
