package main

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func (p *program) circuitsCommand() *cobra.Command {
	var flags queryFlags
	var limit int
	var changes bool
	cmd := &cobra.Command{
		Use:   "circuits --db FILE",
		Short: "Print what circuit breakers did: trips, time open, recovery, refused calls",
		Long: `Print what circuit breakers did: how often they opened, how long they were open and
until they closed again, how often they let a call through to see (half open), how
many calls they refused, and the last changes of state. Every instance of a service
has breakers of its own.`,
		Example: `  spanbucket circuits --db spanbucket.db
  spanbucket circuits --db spanbucket.db --run load-7 --changes --limit 0 --format csv`,
		Args: noArguments,
	}
	flags.addTimes(cmd)
	flags.addOpen(cmd)
	cmd.Flags().IntVar(&limit, "limit", 20, "how many changes of state to print, the last ones; 0: all")
	cmd.Flags().BoolVar(&changes, "changes", false, "as text and CSV only the changes of state")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkMost(limit); err != nil {
			return err
		}
		answer, err := askFile(cmd, p, &flags, func(ctx context.Context, tx *sql.Tx, q analysis.Query) (*analysis.Circuits, error) {
			return analysis.AskCircuits(ctx, tx, analysis.CircuitsQuery{Query: q, Limit: limit})
		})
		if err != nil {
			return err
		}
		return p.writeCircuits(flags.format, changes, answer)
	}
	return cmd
}

func (p *program) writeCircuits(format string, changes bool, answer *analysis.Circuits) (err error) {
	p.talk(&answer.Scope, format == "text" && len(answer.Rows) > 0)
	switch {
	case format == "json":
		err = writeJSON(p.stdout, answer)
	case format == "csv" && changes:
		err = p.writeChanges(answer)
	case format == "csv":
		err = p.writeCircuitRecords(answer)
	case len(answer.Rows) > 0:
		err = p.printCircuits(answer, changes)
	}
	if len(answer.Rows) == 0 {
		return finish(err, p.nothing(&answer.Scope, "no word of a circuit breaker"))
	}
	return err
}

func (p *program) writeCircuitRecords(answer *analysis.Circuits) error {
	var records [][]any
	for i := range answer.Rows {
		c := &answer.Rows[i]
		records = append(records, []any{
			c.RunID, c.Service, c.Instance, c.Circuit, c.Trips, c.Reopened, c.Probes, c.Closed, c.OpenS, c.RecoveryS, c.MaxRecoveryS,
			c.Rejected, c.State, c.StillOpen, c.SinceUTC,
		})
	}
	return writeCSV(p.stdout, []string{
		"run_id", "service", "instance", "circuit", "trips", "reopened", "probes", "closed", "open_s", "recovery_s", "max_recovery_s",
		"rejected", "state", "still_open", "since_utc",
	}, records)
}

func (p *program) writeChanges(answer *analysis.Circuits) error {
	var records [][]any
	for i := range answer.Transitions {
		c := &answer.Transitions[i]
		records = append(records, []any{c.RunID, c.Service, c.Instance, c.Circuit, c.AtUTC, c.AtNS, c.FromState, c.ToState})
	}
	return writeCSV(p.stdout, []string{"run_id", "service", "instance", "circuit", "at_utc", "at_ns", "from_state", "to_state"}, records)
}

func (p *program) printCircuits(answer *analysis.Circuits, changes bool) error {
	if !changes {
		if _, err := fmt.Fprintf(p.stdout, "%s\n\n%s\n\n", tables.Caption(&answer.Scope), circuitsText(answer)); err != nil {
			return err
		}
		if err := circuitTable(answer).Write(p.stdout); err != nil {
			return err
		}
		if len(answer.Transitions) == 0 {
			return tables.WriteOpen(p.stdout, &answer.Open)
		}
		head := "Changes of state"
		if answer.Left > 0 {
			head = fmt.Sprintf("The last %d changes of state; --limit 0 prints %s more", len(answer.Transitions), tables.Count(answer.Left))
		}
		if _, err := fmt.Fprintf(p.stdout, "\n%s\n\n", head); err != nil {
			return err
		}
	}
	t := tables.New(answer.Transitions)
	t.Whole("at", func(c *analysis.CircuitTransition) string { return precise(c.AtNS) })
	t.Text("circuit", func(c *analysis.CircuitTransition) string { return c.Circuit })
	t.Text("from", func(c *analysis.CircuitTransition) string { return stateName(c.FromState) })
	t.Text("to", func(c *analysis.CircuitTransition) string { return stateName(c.ToState) })
	t.Text("service", func(c *analysis.CircuitTransition) string { return c.Service })
	t.Text("instance", func(c *analysis.CircuitTransition) string { return c.Instance })
	t.Text("run", func(c *analysis.CircuitTransition) string { return c.RunID })
	if err := t.Write(p.stdout); err != nil {
		return err
	}
	return tables.WriteOpen(p.stdout, &answer.Open)
}

// circuitsText is the answer in words.
func circuitsText(answer *analysis.Circuits) string {
	n := int64(len(answer.Rows))
	text := fmt.Sprintf("%s %s tripped %s", tables.Count(n), tables.Plural(n, "circuit"), times(answer.Trips))
	if answer.Trips == 0 {
		text = fmt.Sprintf("None of %s %s tripped", tables.Count(n), tables.Plural(n, "circuit"))
	}
	if answer.Rejected > 0 {
		text += fmt.Sprintf(" and refused %s %s", tables.Count(answer.Rejected), tables.Plural(answer.Rejected, "call"))
	}
	if answer.StillOpen > 0 {
		text += fmt.Sprintf("; %s had not closed when last seen", tables.Count(answer.StillOpen))
	}
	return text + "."
}

func times(n int64) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return tables.Count(n) + " times"
}

func circuitTable(answer *analysis.Circuits) *tables.Table[analysis.Circuit] {
	t := tables.New(answer.Rows)
	t.Text("circuit", func(c *analysis.Circuit) string { return c.Circuit })
	t.Number("trips", func(c *analysis.Circuit) string { return tables.Count(c.Trips) })
	t.Number("reopened", func(c *analysis.Circuit) string { return tables.CountOrMissing(c.Reopened) })
	t.Number("probes", func(c *analysis.Circuit) string { return tables.CountOrMissing(c.Probes) })
	t.Number("open s", func(c *analysis.Circuit) string { return seconds(c.OpenS) })
	t.Number("recovery s", func(c *analysis.Circuit) string { return seconds(c.RecoveryS) })
	t.Number("refused", func(c *analysis.Circuit) string { return tables.CountOrMissing(c.Rejected) })
	t.Text("state", func(c *analysis.Circuit) string {
		if c.StillOpen && c.SinceNS != nil {
			return stateName(c.State) + " since " + precise(*c.SinceNS)[11:]
		}
		return stateName(c.State)
	})
	t.Text("service", func(c *analysis.Circuit) string { return c.Service })
	t.Text("instance", func(c *analysis.Circuit) string { return c.Instance })
	t.Text("run", func(c *analysis.Circuit) string { return c.RunID })
	return t
}

func stateName(state string) string {
	if state == "half_open" {
		return "half open"
	}
	return state
}

// precise formats Unix nanoseconds with milliseconds.
func precise(unixNano int64) string {
	return time.Unix(0, unixNano).UTC().Format("2006-01-02T15:04:05.000Z")
}

// seconds rounds as tables.MS does.
func seconds(v *float64) string { return tables.MS(v) }
