package main

import (
	"fmt"
	"time"

	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// prunedFile is the answer of prune.
type prunedFile struct {
	DryRun bool         `json:"dry_run"`
	Pruned []prunedRows `json:"pruned"`
	// Bytes without free pages; of a dry run both are the present ones.
	BytesBefore int64 `json:"bytes_before"`
	BytesAfter  int64 `json:"bytes_after"`
	OverSize    bool  `json:"over_size"`
}

// prunedRows is what left of one relation.
type prunedRows struct {
	Relation        string `json:"relation"`
	WidthS          int64  `json:"width_s"`
	Rows            int64  `json:"rows"`
	CompleteFrom    int64  `json:"complete_from"`
	CompleteFromUTC string `json:"complete_from_utc"`
}

func (p *program) writePruned(flags *pruneFlags, r storage.PruneResult) error {
	answer := prunedFile{flags.dryRun, []prunedRows{}, r.Before, r.After, r.Over}
	for _, left := range r.Left {
		answer.Pruned = append(answer.Pruned, prunedRows{
			left.Relation, left.WidthS, left.Rows, left.CompleteFrom, time.Unix(left.CompleteFrom, 0).UTC().Format(time.RFC3339),
		})
	}
	switch flags.format {
	case "json":
		return writeJSON(p.stdout, &answer)
	case "csv":
		var records [][]any
		for _, row := range answer.Pruned {
			records = append(records, []any{row.Relation, row.WidthS, row.Rows, row.CompleteFrom, row.CompleteFromUTC})
		}
		return writeCSV(p.stdout, []string{"relation", "width_s", "rows", "complete_from", "complete_from_utc"}, records)
	}
	return p.printPruned(&answer)
}

func (p *program) printPruned(answer *prunedFile) error {
	if len(answer.Pruned) == 0 {
		fmt.Fprintln(p.stdout, "nothing is older, or more, than it may be")
	} else {
		t := tables.New(answer.Pruned)
		t.Text("relation", func(r *prunedRows) string { return r.Relation })
		t.Text("width", func(r *prunedRows) string {
			if r.WidthS == 0 {
				return tables.Missing
			}
			return tables.WidthName(r.WidthS)
		})
		title := "rows left"
		if answer.DryRun {
			title = "would leave"
		}
		t.Number(title, func(r *prunedRows) string { return tables.Count(r.Rows) })
		t.Text("complete from", func(r *prunedRows) string { return r.CompleteFromUTC })
		if err := t.Write(p.stdout); err != nil {
			return err
		}
	}
	text := fmt.Sprintf("\nthe file takes %s, %s before", tables.Bytes(answer.BytesAfter), tables.Bytes(answer.BytesBefore))
	if answer.DryRun {
		text = fmt.Sprintf("\nthe file takes %s", tables.Bytes(answer.BytesAfter))
	}
	if answer.OverSize {
		text += "; that is more than it may"
		if !answer.DryRun {
			text += ", and nothing more can leave"
		}
	}
	_, err := fmt.Fprintln(p.stdout, text)
	return err
}
