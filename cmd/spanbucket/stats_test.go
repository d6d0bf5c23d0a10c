package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/analysis"
)

// Many instrumentations write the status code of a request only where it failed:
// then nothing is said of the codes of those that succeeded.
func TestStatusCodesOfRequests(t *testing.T) {
	row := func(code int64, requests, errors float64) analysis.RequestStatusRow {
		r := analysis.RequestStatusRow{Requests: requests, Errors: errors}
		if code != 0 {
			r.StatusCode = &code
		}
		return r
	}
	for want, codes := range map[string][]analysis.RequestStatusRow{
		"": {row(0, 7, 1)},
		"Status codes of requests: 200: 7, 429: 2.":                 {row(200, 7, 0), row(429, 2, 2)},
		"Status codes of requests: no code: 9, 200: 7, 429: 2.":     {row(0, 9, 0), row(200, 7, 0), row(429, 2, 2)},
		"Status codes of requests: 429: 2, no code: 1.":             {row(429, 2, 2), row(0, 1, 1)},
		"Status codes of requests that failed: 429: 2, 529: 1.":     {row(0, 1793, 0), row(429, 2, 2), row(529, 1, 1)},
		"Status codes of requests that failed: no code: 3, 429: 2.": {row(0, 1796, 3), row(429, 2, 2)},
	} {
		s := &analysis.RequestStatus{Codes: codes}
		s.Complete = true
		require.Equal(t, want, requestStatusText(s, 100))
	}
}
