package analysis_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/analysis"
)

// TestDiagnosisTellsOfFaultsAsFaultsDoes: one computation, so one interval, one
// count and one recovery; here of a fault that the chats of it can be counted
// for.
func TestDiagnosisTellsOfFaultsAsFaultsDoes(t *testing.T) {
	s := brownout()
	path := s.file(t, asItIs)
	q := analysis.Query{Now: later}
	d := ask(t, path, diagnosis(q))
	require.Equal(t, 0.25, *d.Faults.Worst.During) // 15 of the 60 chats from 60 to 90 s
	require.Equal(t, 0.0, *d.Faults.Worst.Before)
	require.Contains(t, d.Text, " 1 fault (brownout): 25 % of requests failed (before: 0 %), p95 2,000 ms (before: 200), recovered at once.")
	require.Equal(t, []int64{1, 1, 1, 0, 0}, []int64{d.Faults.Faults, d.Faults.Unmet, d.Faults.Recovered, d.Faults.NotRecovered, d.Faults.Unknown})

	s.injector(120, 10, "outage")
	for i := range 20 {
		s.chat(120.1+float64(i)/2, 3, "error.type", "503")
	}
	path = s.file(t, asItIs)
	d = ask(t, path, diagnosis(q))
	impact := ask(t, path, faultImpact(q))
	require.Len(t, impact.Rows, 2)
	worst := &impact.Rows[impact.Worst()]
	require.Equal(t, "outage", worst.Fault)
	require.Equal(t, []string{"brownout", "outage"}, d.Faults.Names)
	require.Equal(t, []*float64{worst.During.ErrorRate, worst.Before.ErrorRate, worst.During.Latency.P95MS, worst.Before.Latency.P95MS, worst.RecoveryS},
		[]*float64{d.Faults.Worst.During, d.Faults.Worst.Before, d.Faults.Worst.P95During, d.Faults.Worst.P95Before, d.Faults.Worst.RecoveryS})
	require.Equal(t, []string{worst.StartUTC, worst.Recovery}, []string{d.Faults.Worst.StartUTC, d.Faults.Worst.Recovery})
	require.Contains(t, d.Text, " 2 faults (brownout, outage), 2 recovered from; the worst, outage at "+worst.StartUTC+": 50 % of requests failed (before: 0 %)")
}

// A fault that was there all the time says nothing that the figures of the run
// do not say.
func TestDiagnosisOfAFaultThroughout(t *testing.T) {
	s := newStory()
	for i := range 30 {
		s.chat(float64(i)+0.5, 0.1)
	}
	s.injector(0, 31, "brownout")
	path := s.file(t, asItIs)
	require.Equal(t, "30 requests in 30 s: 100 % succeeded, p95 100 ms. 1 fault (brownout): there all the time.", ask(t, path, diagnosis(analysis.Query{Now: later})).Text)
	require.True(t, onlyFault(t, path, analysis.Query{Now: later}).Throughout)
	// Two that overlap were not, though neither has a before or an after.
	s.injector(20, 20, "kill")
	for i := range 10 {
		s.chat(float64(i)+31.5, 0.1)
	}
	for _, f := range ask(t, s.file(t, asItIs), faultImpact(analysis.Query{Now: later})).Rows {
		require.False(t, f.Throughout)
	}
}

func TestDiagnosisOfFaultsThatNoRequestMet(t *testing.T) {
	s := newStory()
	for i := range 30 {
		s.chat(float64(i), 0.1)
	}
	s.injector(10.5, 0.2, "kill")
	d := ask(t, s.file(t, asItIs), diagnosis(analysis.Query{Now: later}))
	require.Equal(t, "30 requests in 30 s: 100 % succeeded, p95 100 ms. 1 fault, which no request met.", d.Text)
	require.Nil(t, d.Faults.Worst)
	require.Equal(t, []int64{0, 1}, []int64{d.Faults.Faults, d.Faults.Unmet})
}

// Of more faults than are looked at, it says of how many it tells.
func TestDiagnosisOfMoreFaultsThanAreLookedAt(t *testing.T) {
	s := newStory()
	for i := range 2060 {
		s.chat(float64(i)/2, 0.1)
	}
	for i := range 102 {
		s.injector(float64(i)*10+5, 2, "kill")
	}
	d := ask(t, s.file(t, asItIs), diagnosis(analysis.Query{Now: later}))
	require.Equal(t, []int64{102, 100}, []int64{d.Faults.Faults, d.Faults.Recovered + d.Faults.NotRecovered + d.Faults.Unknown})
	require.Contains(t, d.Text, " 102 faults (kill), of the 100 longest 100 recovered from")
}
