package storage

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// TestStatementsDoNotGrow with what others do to the file: each time the writer
// forgets what it knows of it.
func TestStatementsDoNotGrow(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	n, prepared := 0, 0
	for round := range 8 {
		var requests []aggregator.Request
		for range 2 * maxShapes {
			n++
			r := request(1, 0)
			r.SpanID[2], r.SpanID[3] = byte(n>>8), byte(n)
			r.Known, r.Usage = aggregator.Fact(n)&0x1ff, true
			requests = append(requests, r)
		}
		require.NoError(t, s.Write(t.Context(), requestBatch(o, requests...)))
		_, err := ImportFaultWindows(t.Context(), o.Path, []aggregator.FaultWindow{{Fault: fmt.Sprint(round), EndUnixNano: 1}})
		require.NoError(t, err)
		if round == 0 {
			prepared = len(s.writer.prepared)
		}
	}
	require.LessOrEqual(t, len(s.writer.prepared), prepared+2, "one of each size for rows of further shapes")
	require.NoError(t, s.Close())
	require.LessOrEqual(t, len(s.writer.requests.shapes), maxShapes+1)
	require.EqualValues(t, n, one[int64](t, o.Path, "SELECT count(*) FROM request"))
}
