package analysis_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

func anomalies(q analysis.AnomaliesQuery) func(context.Context, *sql.Tx) (*analysis.Anomalies, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.Anomalies, error) {
		return analysis.AskAnomalies(ctx, tx, q)
	}
}

// anomaly is what a test says of one: where it lies, in seconds since Begin.
type anomaly struct {
	kind     string
	from, to int64
	expected bool
}

func seen(answer *analysis.Anomalies) (all []anomaly) {
	begin := filetest.Begin.Unix()
	for _, a := range answer.Rows {
		all = append(all, anomaly{a.Kind, a.Start - begin, a.End - begin, a.Expected})
	}
	return all
}

func TestAnomalies(t *testing.T) {
	const (
		silence, none, cliff = analysis.AnomalySilence, analysis.AnomalyZeroSuccess, analysis.AnomalyThroughputCliff
		spike, cluster       = analysis.AnomalyLatencySpike, analysis.AnomalyErrorCluster
		unexpected           = analysis.AnomalyUnexpectedError
	)
	server, client := aggregator.OutcomeServerError, aggregator.OutcomeClientError
	steady := func(seconds int) filetest.Stretch { return filetest.Stretch{Seconds: seconds, PerSecond: 50} }
	now := filetest.Begin.Add(time.Hour)
	for _, c := range []struct {
		name    string
		traffic []filetest.Stretch
		want    []anomaly
	}{
		{"nothing", nil, nil},
		{"two spans far apart", []filetest.Stretch{{Seconds: 1, PerSecond: 1}, {Seconds: 59}, {Seconds: 1, PerSecond: 1}}, nil},
		{"one span", []filetest.Stretch{{Seconds: 1, PerSecond: 1}}, nil},
		{"one span that failed", []filetest.Stretch{{Seconds: 1, PerSecond: 1, Failed: 10, Outcome: server}}, nil},
		{"steady, all equally long", []filetest.Stretch{steady(120)}, nil},
		{"ten seconds, a minute of silence, ten seconds", []filetest.Stretch{steady(10), {Seconds: 60}, steady(10)},
			[]anomaly{{silence, 10, 70, false}}},
		{"a short pause", []filetest.Stretch{steady(60), {Seconds: 20}, steady(60)}, nil},
		{"silence at the ends is none", []filetest.Stretch{{Seconds: 60}, steady(60), {Seconds: 60}}, nil},
		{"slow traffic is not silence", []filetest.Stretch{{Seconds: 1, PerSecond: 1}, {Seconds: 59}, {Seconds: 1, PerSecond: 1}, {Seconds: 59}, {Seconds: 1, PerSecond: 1}}, nil},
		{"everything fails for a while", []filetest.Stretch{steady(60), {Seconds: 5, PerSecond: 50, Failed: 10, Outcome: server}, steady(60)},
			[]anomaly{{cluster, 60, 65, false}, {none, 60, 65, false}}},
		{"a fall to a fifth", []filetest.Stretch{steady(60), {Seconds: 20, PerSecond: 10}, steady(60)},
			[]anomaly{{cliff, 60, 80, false}}},
		{"a fall that lasts", []filetest.Stretch{steady(60), {Seconds: 60, PerSecond: 10}}, []anomaly{{cliff, 60, 120, false}}},
		{"the end is no cliff", []filetest.Stretch{steady(60), {Seconds: 1, PerSecond: 5}}, nil},
		{"nor are its last two buckets", []filetest.Stretch{steady(60), {Seconds: 3, PerSecond: 5}}, nil},
		{"a fall to just below half may be chance", []filetest.Stretch{{Seconds: 60, PerSecond: 55}, {Seconds: 10, PerSecond: 27}, {Seconds: 60, PerSecond: 55}}, nil},
		{"the beginning is no cliff", []filetest.Stretch{{Seconds: 1, PerSecond: 5}, steady(60)}, nil},
		{"a fall of a third", []filetest.Stretch{steady(60), {Seconds: 20, PerSecond: 34}, steady(60)}, nil},
		{"slow for a while", []filetest.Stretch{steady(60), {Seconds: 4, PerSecond: 50, Duration: 400 * time.Millisecond}, steady(60)},
			[]anomaly{{spike, 60, 64, false}}},
		{"a little slow", []filetest.Stretch{steady(60), {Seconds: 4, PerSecond: 50, Duration: 70 * time.Millisecond}, steady(60)}, nil},
		{"a wrong request is not a matter of load", []filetest.Stretch{steady(60), {Seconds: 1, PerSecond: 50, Failed: 1, Outcome: client}, steady(60)},
			[]anomaly{{unexpected, 60, 70, false}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := makeFile(t, filetest.Load(c.traffic...), now)
			answer := ask(t, path, anomalies(analysis.AnomaliesQuery{Query: analysis.Query{Now: now}}))
			require.Equal(t, c.want, seen(answer))
			require.Equal(t, len(c.want), answer.Unexpected)
		})
	}
}
