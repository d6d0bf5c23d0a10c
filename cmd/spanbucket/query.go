package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/query"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// maxQueryBytes bounds a query that is read from a file.
const maxQueryBytes = 1 << 20

func (p *program) queryCommand() *cobra.Command {
	var flags fileFlags
	limits := query.ForPerson()
	var file string
	cmd := &cobra.Command{
		Use:   `query (SQL | - | --file FILE) --db FILE`,
		Short: "Answer one SELECT, read-only, with percentiles of merged histograms",
		Long: `Answer one SELECT. The engine lets nothing be written, no other file be opened and
no more time, memory and rows be taken than is said here; spanbucket export --query
has no bound on time and rows. spanbucket schema lists the relations.

Beside the functions of SQLite there are two for the relations histograms and
timeseries_histograms:

  histogram_merge(histogram)                          all histograms as one
  histogram_percentile(histogram, p)                  nanoseconds
  histogram_percentile(histogram, p, min_ns, max_ns)  nanoseconds, never outside

p is a fraction (0.99) or a name ('p99.9'). Percentiles are nearest-rank, within
0.79 %; with min(min_ns) and max(max_ns) the first and the last rank are exact.`,
		Example: `  spanbucket query --db spanbucket.db "SELECT reason, spans FROM ledger"
  spanbucket query --db spanbucket.db --format csv --file errors.sql
  spanbucket query --db spanbucket.db "SELECT model, histogram_percentile(histogram_merge(histogram), 'p99',
    min(min_ns), max(max_ns)) / 1e6 AS p99_ms FROM histograms JOIN latency USING (width_s, bucket_start, series_id)
    WHERE measure = 'duration' AND width_s = 3600 GROUP BY model"`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("%s: one query at a time, in quotes, got %d", cmd.Name(), len(args))}
			}
			return nil
		},
	}
	flags.add(cmd, "the file to ask (required)")
	cmd.Flags().StringVar(&file, "file", "", "read the query from this file")
	cmd.Flags().Int64Var(&limits.Rows, "limit", limits.Rows, "show at most so many rows; 0: all, up to 64 MiB")
	cmd.Flags().DurationVar(&limits.Time, "timeout", limits.Time, "end the query after this time; 0: never")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := flags.checkAll(); err != nil {
			return err
		}
		if limits.Rows < 0 {
			return usageError{fmt.Errorf("--limit %d: must be 0 or more", limits.Rows)}
		}
		if limits.Time < 0 {
			return usageError{fmt.Errorf("--timeout %s: must be 0 or more", limits.Time)}
		}
		text, err := p.queryText(args, file)
		if err != nil {
			return err
		}
		return p.query(cmd.Context(), &flags, text, limits)
	}
	return cmd
}

// queryText returns the query: the argument, or what a file or stdin holds.
func (p *program) queryText(args []string, file string) (string, error) {
	var from io.Reader
	switch {
	case len(args) == 0 && file == "":
		return "", usageError{errors.New(`SQL is missing: as one argument in quotes, "-" for stdin, or --file FILE`)}
	case len(args) > 0 && file != "":
		return "", usageError{errors.New("SQL and --file: one of the two")}
	case file != "":
		opened, err := os.Open(file)
		if err != nil {
			return "", usageError{fmt.Errorf("--file: %w", err)}
		}
		defer opened.Close()
		from = opened
	case args[0] == "-":
		from = p.stdin
	default:
		return args[0], nil
	}
	text, err := io.ReadAll(io.LimitReader(from, maxQueryBytes+1))
	if err != nil {
		return "", usageError{fmt.Errorf("read the query: %w", err)}
	}
	if len(text) > maxQueryBytes {
		return "", usageError{fmt.Errorf("read the query: it is longer than %d bytes", maxQueryBytes)}
	}
	return strings.TrimPrefix(string(text), "\ufeff"), nil
}

func (p *program) query(ctx context.Context, flags *fileFlags, text string, limits query.Limits) error {
	answer, err := query.Ask(ctx, flags.db, text, limits)
	var late *query.TimeError
	switch {
	case errors.As(err, &late):
		return usageError{fmt.Errorf("%w; --timeout allows more time", err)}
	case errors.Is(err, query.ErrTooMuch), errors.Is(err, query.ErrQuery):
		return usageError{err}
	case err != nil:
		return err
	}
	// The answer as a whole, or none: two columns of a name are found at its head.
	var out bytes.Buffer
	switch flags.format {
	case "csv":
		err = writeAnswer(newCSVWriter(&out, false), answer)
	case "json":
		err = writeAnswer(&jsonWriter{to: &out, document: true, tail: fmt.Sprintf(",\"truncated\":%t", answer.Cut != "")}, answer)
	default:
		return p.printAnswer(answer)
	}
	if err == nil {
		_, err = out.WriteTo(p.stdout)
	}
	if err == nil && answer.Cut != "" {
		fmt.Fprintln(p.stderr, answer.Cut+"; --limit shows more")
	}
	return err
}

func writeAnswer(out rowWriter, answer *query.Answer) error {
	if err := out.head(answer.Columns); err != nil {
		return err
	}
	for _, row := range answer.Rows {
		if err := out.row(row); err != nil {
			return err
		}
	}
	return out.flush()
}

// printAnswer prints a table: numbers aligned right, "-" for NULL.
func (p *program) printAnswer(answer *query.Answer) error {
	t := tables.New(answer.Rows)
	t.Keep = len(answer.Columns)
	for i, name := range answer.Columns {
		cell := func(row *[]any) string { return csvCell((*row)[i], tables.Clean) }
		if isNumeric(answer.Rows, i) {
			t.Number(name, cell)
		} else {
			t.Text(name, cell)
		}
	}
	if err := t.Write(p.stdout); err != nil {
		return err
	}
	if answer.Cut != "" {
		_, err := fmt.Fprintf(p.stdout, "\n%s; --limit shows more\n", answer.Cut)
		return err
	}
	_, err := fmt.Fprintf(p.stdout, "\n%s %s\n", tables.Count(int64(len(answer.Rows))), tables.Plural(int64(len(answer.Rows)), "row"))
	return err
}

// isNumeric tells whether a column holds numbers only, and some.
func isNumeric(rows [][]any, column int) bool {
	some := false
	for _, row := range rows {
		switch row[column].(type) {
		case int64, float64:
			some = true
		case nil:
		default:
			return false
		}
	}
	return some
}
