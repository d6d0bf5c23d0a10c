package report

import (
	"context"
	"database/sql"
	"errors"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// Answers are those of the questions about a pick. One is nil where the file is
// of a schema that has no such thing, or, of those about a run as a whole, in
// the picks of one category: there it is that of the headline pick of the run.
type Answers struct {
	Diagnosis *analysis.Diagnosis `json:"diagnosis"`
	Bursts    *analysis.Bursts    `json:"bursts"`
	Anomalies *analysis.Anomalies `json:"anomalies"`
	// FaultImpact has at most MaxTableRows faults, the longest, and counts the
	// others; its windows are those of the report.
	FaultImpact *analysis.FaultImpact `json:"fault_impact"`
	// Errors has at most MaxTableRows rows by type, ErrorTypes counts all.
	Errors     *analysis.Errors `json:"errors"`
	ErrorTypes int              `json:"error_types_total"`
	Slow       *analysis.Slow   `json:"slow"`
	// Usage is by model, most costly first, at most MaxTableRows rows;
	// UsageModels counts all.
	Usage       *analysis.UsageAnswer `json:"usage"`
	UsageModels int                   `json:"usage_models_total"`

	// Of a run as a whole. Lists have at most MaxTableRows rows, and the totals
	// beside them count all.
	Circuits      *analysis.Circuits `json:"circuits"`
	CircuitsTotal int                `json:"circuits_total"`
	Sessions      *analysis.Sessions `json:"sessions"` // their total counts all
	Tools         *analysis.Tools    `json:"tools"`
	ToolsTotal    int                `json:"tools_total"`
	// Chaos has at most MaxTableRows rows; it counts all.
	Chaos *analysis.ChaosResults `json:"chaos_results"`
	SLOs  *analysis.SLOs         `json:"slos"`
}

// answer asks a question; a file of a schema without an answer has none.
func answer[A any](into **A, ask func() (*A, error)) error {
	a, err := ask()
	if errors.Is(err, storage.ErrOlder) {
		return nil
	}
	*into = a
	return err
}

// cut leaves the first rows of a list, and returns how many there were.
func cut[R any](rows *[]R) int {
	n := len(*rows)
	*rows = (*rows)[:min(n, MaxTableRows)]
	return n
}

// readAnswers asks every question about a pick.
func (p *Pick) readAnswers(ctx context.Context, tx *sql.Tx, q analysis.Query) error {
	a := &p.Answers
	whole := q // of the run, whatever the category
	whole.Categories = nil
	for _, ask := range []func() error{
		func() error {
			b, err := analysis.AskBehaviour(ctx, tx, analysis.FaultImpactQuery{Query: q, Windows: p.windows, Limit: MaxTableRows})
			if err == nil {
				a.Diagnosis, a.Bursts, a.Anomalies, a.FaultImpact = b.Diagnosis, b.Bursts, b.Anomalies, b.Faults
			}
			return err
		},
		func() error {
			return answer(&a.Errors, func() (*analysis.Errors, error) { return analysis.AskErrors(ctx, tx, q) })
		},
		func() error {
			return answer(&a.Slow, func() (*analysis.Slow, error) {
				return analysis.AskSlow(ctx, tx, analysis.SlowQuery{Query: q, Limit: slowRows})
			})
		},
		func() error {
			return answer(&a.Usage, func() (*analysis.UsageAnswer, error) {
				return analysis.AskUsage(ctx, tx, analysis.UsageQuery{Query: q, By: []string{"model"}})
			})
		},
		func() error {
			if p.Category != "" {
				return nil
			}
			return a.readWhole(ctx, tx, whole)
		},
	} {
		if err := ask(); err != nil {
			return err
		}
	}
	a.bound()
	return nil
}

const slowRows, transitions = 20, 100

// readWhole asks the questions about a run as a whole.
func (a *Answers) readWhole(ctx context.Context, tx *sql.Tx, q analysis.Query) error {
	err := answer(&a.Circuits, func() (*analysis.Circuits, error) {
		return analysis.AskCircuits(ctx, tx, analysis.CircuitsQuery{Query: q, Limit: transitions})
	})
	if err != nil {
		return err
	}
	err = answer(&a.Sessions, func() (*analysis.Sessions, error) {
		return analysis.AskSessions(ctx, tx, analysis.SessionsQuery{Query: q, Limit: MaxTableRows})
	})
	if err != nil {
		return err
	}
	err = answer(&a.SLOs, func() (*analysis.SLOs, error) { return analysis.AskSLOs(ctx, tx, q) })
	if err != nil {
		return err
	}
	err = answer(&a.Chaos, func() (*analysis.ChaosResults, error) { return analysis.AskChaosResults(ctx, tx, q) })
	if err != nil {
		return err
	}
	return answer(&a.Tools, func() (*analysis.Tools, error) { return analysis.AskTools(ctx, tx, q) })
}

// bound cuts the lists that a file may have no bound of.
func (a *Answers) bound() {
	if a.Errors != nil {
		a.ErrorTypes = cut(&a.Errors.ByType)
	}
	if a.FaultImpact != nil {
		a.FaultImpact.Windows = []analysis.FaultWindow{}
	}
	if a.Usage != nil {
		a.UsageModels = cut(&a.Usage.Rows)
	}
	if a.Circuits != nil {
		a.CircuitsTotal = cut(&a.Circuits.Rows)
	}
	if a.Chaos != nil {
		cut(&a.Chaos.Rows)
	}
	if a.Tools != nil {
		a.ToolsTotal = cut(&a.Tools.Rows)
	}
}
