package main

import (
	"context"
	"database/sql"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// askFile asks one question of the file that the flags name.
func askFile[A any](
	cmd *cobra.Command, p *program, flags *queryFlags, question func(context.Context, *sql.Tx, analysis.Query) (A, error),
) (answer A, err error) {
	err = flags.view(cmd.Context(), func(tx *sql.Tx) error {
		q, err := flags.query(cmd.Context(), p, tx)
		if err != nil {
			return err
		}
		answer, err = question(cmd.Context(), tx, q)
		return err
	})
	return answer, err
}

// keptText says what the rows of single requests are worth.
func keptText(k *analysis.Kept) string {
	var text string
	switch {
	case k.Complete:
		return "Every request of the interval is kept."
	case k.Estimable:
		text = "These rows are a sample: weight says how many requests each stands for"
	default:
		text = "Not every request of the interval is kept, and no row stands for what is missing"
	}
	if k.CompleteFromUTC != nil {
		text += "; all are kept from " + *k.CompleteFromUTC + " on"
	}
	return text + "."
}

// Times are shown as the report shows them.
var (
	timeText = tables.Time
	isOneDay = tables.IsOneDay
)

// nameOr shows a text, or what stands for an empty one.
func nameOr(text, empty string) string {
	if text == "" {
		return empty
	}
	return text
}

// textOr shows a text that may be missing.
func textOrMissing(text *string) string {
	if text == nil {
		return tables.Missing
	}
	return *text
}
