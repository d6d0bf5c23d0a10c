package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func (p *program) diagnoseCommand() *cobra.Command {
	var flags queryFlags
	cmd := &cobra.Command{
		Use:   "diagnose --db FILE",
		Short: "Say in one paragraph how it went",
		Long: `Say in one paragraph how it went, after one word: OK; WARNING when less than 80 %
of the requests succeeded, when requests were still refused at the end, or when
something severe happened that no known fault explains; CRITICAL when less than
half of the requests succeeded. The exit code does not depend on it.`,
		Example: `  spanbucket diagnose --db spanbucket.db
  spanbucket diagnose --db spanbucket.db --run load-7 --format json`,
		Args: noArguments,
	}
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		answer, err := askFile(cmd, p, &flags, analysis.AskDiagnosis)
		if err != nil {
			return err
		}
		return p.writeDiagnosis(flags.format, answer)
	}
	return cmd
}

func (p *program) writeDiagnosis(format string, answer *analysis.Diagnosis) (err error) {
	p.talk(&answer.Scope, format == "text" && answer.Requests > 0)
	switch {
	case format == "json":
		err = writeJSON(p.stdout, answer)
	case format == "csv":
		err = writeCSV(p.stdout, []string{
			"status", "reasons", "requests_total", "errors", "success_share", "rate_limited_share", "refused_share",
			"rate_limit_pressure", "p95_latency_ms", "patterns", "text",
		}, [][]any{{
			answer.Status, strings.Join(answer.Reasons, "; "), answer.Requests, answer.Errors, answer.SuccessShare, answer.RateLimitedShare,
			answer.RefusedShare, answer.RateLimitPressure, answer.P95MS, strings.Join(answer.Patterns, " "), answer.Text,
		}})
	case answer.Requests > 0:
		err = p.printDiagnosis(answer)
	}
	if answer.Requests == 0 {
		return finish(err, p.noData(&answer.Scope))
	}
	return err
}

func (p *program) printDiagnosis(answer *analysis.Diagnosis) error {
	status := answer.Status
	if len(answer.Reasons) > 0 {
		status += ": " + strings.Join(answer.Reasons, "; ")
	}
	_, err := fmt.Fprintf(p.stdout, "%s\n\n%s\n\n%s\n", tables.Caption(&answer.Scope), folded(status), folded(answer.Text))
	if err == nil && len(answer.Patterns) > 0 {
		_, err = fmt.Fprintf(p.stdout, "\npatterns: %s\n", folded(strings.Join(answer.Patterns, " ")))
	}
	if err != nil {
		return err
	}
	return tables.WriteOpen(p.stdout, &answer.Open)
}
