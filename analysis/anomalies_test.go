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
	steady := func(seconds int) stretch { return stretch{seconds: seconds, perSecond: 50} }
	now := filetest.Begin.Add(time.Hour)
	for _, c := range []struct {
		name    string
		traffic []stretch
		want    []anomaly
	}{
		{"nothing", nil, nil},
		{"one span", []stretch{{seconds: 1, perSecond: 1}}, nil},
		{"one span that failed", []stretch{{seconds: 1, perSecond: 1, refused: 10, outcome: server}}, nil},
		{"steady, all equally long", []stretch{steady(120)}, nil},
		{"ten seconds, a minute of silence, ten seconds", []stretch{steady(10), {seconds: 60}, steady(10)},
			[]anomaly{{silence, 10, 70, false}}},
		{"a short pause", []stretch{steady(60), {seconds: 20}, steady(60)}, nil},
		{"silence at the ends is none", []stretch{{seconds: 60}, steady(60), {seconds: 60}}, nil},
		{"slow traffic is not silence", []stretch{{seconds: 1, perSecond: 1}, {seconds: 59}, {seconds: 1, perSecond: 1}, {seconds: 59}, {seconds: 1, perSecond: 1}}, nil},
		{"everything fails for a while", []stretch{steady(60), {seconds: 5, perSecond: 50, refused: 10, outcome: server}, steady(60)},
			[]anomaly{{cluster, 60, 65, false}, {none, 60, 65, false}}},
		{"a fall to a fifth", []stretch{steady(60), {seconds: 20, perSecond: 10}, steady(60)},
			[]anomaly{{cliff, 60, 80, false}}},
		{"a fall that lasts", []stretch{steady(60), {seconds: 60, perSecond: 10}}, []anomaly{{cliff, 60, 120, false}}},
		{"the end is no cliff", []stretch{steady(60), {seconds: 1, perSecond: 5}}, nil},
		{"the beginning is no cliff", []stretch{{seconds: 1, perSecond: 5}, steady(60)}, nil},
		{"a fall of a third", []stretch{steady(60), {seconds: 20, perSecond: 34}, steady(60)}, nil},
		{"slow for a while", []stretch{steady(60), {seconds: 4, perSecond: 50, ms: 400}, steady(60)},
			[]anomaly{{spike, 60, 64, false}}},
		{"a little slow", []stretch{steady(60), {seconds: 4, perSecond: 50, ms: 70}, steady(60)}, nil},
		{"a wrong request is not a matter of load", []stretch{steady(60), {seconds: 1, perSecond: 50, refused: 1, outcome: client}, steady(60)},
			[]anomaly{{unexpected, 60, 70, false}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := makeFile(t, build(c.traffic...), now)
			answer := ask(t, path, anomalies(analysis.AnomaliesQuery{Query: analysis.Query{Now: now}}))
			require.Equal(t, c.want, seen(answer))
			require.Equal(t, len(c.want), answer.Unexpected)
		})
	}
}
