package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/storage"
)

func (p *program) verifyCommand() *cobra.Command {
	var flags fileFlags
	cmd := &cobra.Command{
		Use:   "verify --db FILE",
		Short: "Check that the numbers in the file agree with each other",
		Long: `Check that the file is whole and that the numbers in it agree with each other:
SQLite's own check, then every rule that holds between rows. Exit code 1 if a
rule is broken.`,
		Args: noArguments,
	}
	flags.add(cmd, "the file to check (required)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		r, err := flags.open(cmd.Context())
		if err != nil {
			return err
		}
		defer func() {
			if closed := r.Close(); err == nil {
				err = closed
			}
		}()
		problems := []storage.Problem{}
		for problem, err := range r.Verify(cmd.Context()) {
			if err != nil {
				return err
			}
			problems = append(problems, problem)
			if flags.format == "text" {
				fmt.Fprintln(p.stdout, clean(problem.String()))
			}
		}
		return p.writeProblems(flags.format, problems)
	}
	return cmd
}

func (p *program) writeProblems(format string, problems []storage.Problem) (err error) {
	switch format {
	case "json":
		err = writeJSON(p.stdout, struct {
			OK       bool              `json:"ok"`
			Problems []storage.Problem `json:"problems"`
		}{len(problems) == 0, problems})
	case "csv":
		var records [][]any
		for _, v := range problems {
			records = append(records, []any{v.Relation, v.Row, v.Column, v.Rule, v.Stored, v.Expected})
		}
		err = writeCSV(p.stdout, []string{"relation", "row", "column", "rule", "stored", "expected"}, records)
	default:
		if len(problems) == 0 {
			_, err = fmt.Fprintln(p.stdout, "fine: every rule holds")
		}
	}
	if err == nil && len(problems) > 0 {
		err = fmt.Errorf("%w: %s %s", errCheck, count(int64(len(problems))), plural(int64(len(problems)), "problem"))
	}
	return err
}
