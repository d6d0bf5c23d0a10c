package analysis_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

// Asked together, the four questions have the answers that each has alone.
func TestBehaviourIsFourAnswers(t *testing.T) {
	now := filetest.Begin.Add(2 * time.Hour)
	for name, path := range map[string]string{
		"traffic": makeFile(t, filetest.Traffic(6_000), now), "nothing": makeFile(t, nil, now), "faults": brownout().file(t, asItIs),
	} {
		t.Run(name, func(t *testing.T) {
			q := analysis.Query{Now: now}
			got := ask(t, path, func(ctx context.Context, tx *sql.Tx) (*analysis.Behaviour, error) {
				return analysis.AskBehaviour(ctx, tx, analysis.FaultImpactQuery{Query: q})
			})
			require.Equal(t, ask(t, path, func(ctx context.Context, tx *sql.Tx) (*analysis.Diagnosis, error) {
				return analysis.AskDiagnosis(ctx, tx, q)
			}), got.Diagnosis)
			require.Equal(t, ask(t, path, func(ctx context.Context, tx *sql.Tx) (*analysis.Bursts, error) {
				return analysis.AskBursts(ctx, tx, analysis.BurstsQuery{Query: q})
			}), got.Bursts)
			require.Equal(t, ask(t, path, func(ctx context.Context, tx *sql.Tx) (*analysis.Anomalies, error) {
				return analysis.AskAnomalies(ctx, tx, analysis.AnomaliesQuery{Query: q})
			}), got.Anomalies)
			require.Equal(t, ask(t, path, faultImpact(q)), got.Faults)
		})
	}
}
