package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/storage"
)

func (p *program) verifyCommand() *cobra.Command {
	var flags fileFlags
	var most int
	cmd := &cobra.Command{
		Use:   "verify --db FILE",
		Short: "Check that the numbers in the file agree with each other",
		Long: `Check that the file is whole and that the numbers in it agree with each other:
SQLite's own check, then every rule that holds within and between rows. Exit code
1 if a rule is broken. A collector may be writing the file meanwhile.`,
		Args: noArguments,
	}
	flags.add(cmd, "the file to check (required)")
	cmd.Flags().IntVar(&most, "max", 100, "stop after so many problems; 0 for all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if most < 0 {
			return usageError{fmt.Errorf("--max %d: must not be negative", most)}
		}
		found, err := p.verify(cmd.Context(), &flags, most)
		if err != nil {
			return err
		}
		return p.writeVerification(flags.format, found)
	}
	return cmd
}

// verification is the answer of verify.
type verification struct {
	OK bool `json:"ok"`
	// Complete is false where the check ended early.
	Complete bool              `json:"complete"`
	Problems []storage.Problem `json:"problems"`
}

// verify collects at most so many problems; 0 means all.
func (p *program) verify(ctx context.Context, flags *fileFlags, most int) (_ *verification, err error) {
	r, err := flags.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	found := &verification{OK: true, Complete: true, Problems: []storage.Problem{}}
	for problem, err := range r.Verify(ctx) {
		if err != nil {
			return nil, err
		}
		found.OK = false
		if most > 0 && len(found.Problems) == most {
			found.Complete = false
			break
		}
		found.Problems = append(found.Problems, problem)
	}
	return found, nil
}

func (p *program) writeVerification(format string, found *verification) error {
	err := p.printVerification(format, found)
	if found.OK {
		return err
	}
	n := int64(len(found.Problems))
	if !found.Complete {
		return finish(err, fmt.Errorf("%w: more than %s %s; --max 0 lists all", errCheck, tables.Count(n), tables.Plural(n, "problem")))
	}
	return finish(err, fmt.Errorf("%w: %s %s", errCheck, tables.Count(n), tables.Plural(n, "problem")))
}

func (p *program) printVerification(format string, found *verification) error {
	switch format {
	case "json":
		return writeJSON(p.stdout, found)
	case "csv":
		var records [][]any
		for _, v := range found.Problems {
			records = append(records, []any{v.Relation, v.Row, v.Column, v.Rule, v.Stored, v.Expected})
		}
		return writeCSV(p.stdout, []string{"relation", "row", "column", "rule", "stored", "expected"}, records)
	}
	for _, v := range found.Problems {
		if _, err := fmt.Fprintln(p.stdout, tables.Clean(v.String())); err != nil {
			return err
		}
	}
	if found.OK {
		_, err := fmt.Fprintln(p.stdout, "fine: every rule holds")
		return err
	}
	return nil
}
