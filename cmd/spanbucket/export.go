package main

import (
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/query"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// exportFlags are those of export.
type exportFlags struct {
	db, format, query string
	raw, anonymize    bool
	rows              exportSelection
	output            outputFlags
	talk              talkFlags
}

func (p *program) exportCommand() *cobra.Command {
	var flags exportFlags
	cmd := &cobra.Command{
		Use:   "export (RELATION | --query SQL) --db FILE [-o FILE]",
		Short: "Write the rows of a relation or a query, as CSV or JSON lines",
		Long: `Write the rows of a relation (spanbucket schema lists them) or of a query, one after
another, however many there are. They come in the order of the query; without ORDER
BY as they lie in the file: requests commit by commit, those of one commit in no
order. All are of one instant; a collector may be writing meanwhile. A query must be
one SELECT.

Formats: csv (with a line of names), jsonl (an object on each line) and json (one
document). NULL is an empty cell, or null. Numbers are such that they are read back
the same; infinite ones are Infinity and -Infinity, in JSON as text. Blobs are
hexadecimal.

In CSV, text that a spreadsheet could run as a formula gets a ' in front: it begins,
after spaces and quotes, with = + - @ (also full-width ones), or with a tab or the end
of a line. Control characters become U+FFFD. With --raw text stays as it is.

--run, --from and --to choose rows of a relation by run_id and by when they begin. With
--anonymize, ids of sessions, calls, traces, spans and series, instances and the values of
configured dimensions become hexadecimal digits, made with a secret of the file:
the same for the same, in every export of the file. What describes a run and dead
letters are left out. Names stay: of services, spans, endpoints, models,
agents, tools, runs.`,
		Example: `  spanbucket export timeseries --db spanbucket.db -o timeseries.csv
  spanbucket export --query "SELECT model, latency_ms FROM requests WHERE outcome <> 'success'" --format jsonl --db spanbucket.db | jq .
  spanbucket export requests --db spanbucket.db -o requests.jsonl.gz
  spanbucket export sessions --db spanbucket.db --run nightly --anonymize -o sessions.csv`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("%s: one relation at a time, got %q", cmd.Name(), args)}
			}
			return nil
		},
	}
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		relation := ""
		if len(args) > 0 {
			relation = args[0]
		}
		if err := flags.check(relation, cmd.Flags().Changed("query")); err != nil {
			return err
		}
		return exportError(p.export(cmd.Context(), &flags, relation))
	}
	return cmd
}

func (f *exportFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.db, "db", "", "the file to read (required)")
	flags.StringVar(&f.query, "query", "", "the query to ask, one SELECT")
	flags.StringVar(&f.format, "format", "", "csv, jsonl or json (default: what the name of the output ends in, else csv)")
	flags.BoolVar(&f.raw, "raw", false, "CSV with text as it is, not made safe for spreadsheets and terminals")
	flags.BoolVar(&f.anonymize, "anonymize", false, "put pseudonyms in the place of sessions, instances, dimensions, traces and calls, and leave the facts of runs out")
	f.rows.add(cmd)
	f.output.add(cmd, "the file to write; compressed where its name ends in .gz (default, and with -: stdout)", "replace a file that has that name already")
	f.talk.add(cmd)
	complete(cmd, "db", func() ([]string, cobra.ShellCompDirective) {
		return []string{"db"}, cobra.ShellCompDirectiveFilterFileExt
	})
	complete(cmd, "format", func() ([]string, cobra.ShellCompDirective) {
		return exportFormats, cobra.ShellCompDirectiveNoFileComp
	})
	completeNothing(cmd, "query")
}

// check checks the flags, and chooses the format.
func (f *exportFlags) check(relation string, queried bool) error {
	switch {
	case f.db == "":
		return usageError{errors.New("--db FILE is missing")}
	case relation == "" && !queried:
		return usageError{errors.New("RELATION or --query SQL is missing; spanbucket schema lists the relations")}
	case relation != "" && queried:
		return usageError{fmt.Errorf("RELATION %q and --query: one of the two", relation)}
	}
	if queried {
		if flag := f.rows.given(); flag != "" {
			return usageError{fmt.Errorf("%s and --query: the query itself says which rows", flag)}
		}
		if f.anonymize {
			return usageError{errors.New("--anonymize and --query: a query can call anything by any name; export a relation")}
		}
	}
	if f.format == "" {
		f.format = exportFormats[0]
		name := strings.TrimSuffix(f.output.output, ".gz")
		switch filepath.Ext(name) {
		case ".jsonl", ".ndjson":
			f.format = "jsonl"
		case ".json":
			f.format = "json"
		}
	}
	if !slices.Contains(exportFormats, f.format) {
		return usageError{fmt.Errorf("--format %q: must be one of %s", f.format, strings.Join(exportFormats, ", "))}
	}
	if f.raw && f.format != "csv" {
		return usageError{fmt.Errorf("--raw: only --format csv is not raw, got %s", f.format)}
	}
	return nil
}

// exportError tells whose mistake an error is.
func exportError(err error) error {
	if errors.Is(err, query.ErrQuery) {
		return usageError{err}
	}
	return outputError(err)
}

func (p *program) export(ctx context.Context, flags *exportFlags, relation string) (err error) {
	r, err := storage.OpenReader(ctx, flags.db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	shown := p.newProgress(flags.talk.progress, flags.talk.quiet, "rows")
	defer shown.end()
	text, total := flags.query, int64(0)
	if relation != "" {
		err := r.View(ctx, func(tx *sql.Tx) error {
			text, err = flags.rows.relationQuery(ctx, p, tx, relation)
			return err
		})
		if err != nil {
			return err
		}
		if shown.to != nil {
			if err := r.QueryRowContext(ctx, "SELECT count(*) FROM ("+text+")").Scan(&total); err != nil {
				return err
			}
		}
	}
	var pseudonyms *storage.Pseudonyms
	if flags.anonymize {
		if pseudonyms, err = storage.ReadPseudonyms(ctx, r); err != nil {
			return fmt.Errorf("--anonymize: %w", err)
		}
	}
	form := func(to io.Writer) rowWriter {
		if pseudonyms == nil {
			return newRowWriter(flags.format, flags.raw, to)
		}
		return &anonymous{rowWriter: newRowWriter(flags.format, flags.raw, to), pseudonyms: pseudonyms}
	}
	write := func(to io.Writer) error {
		n, err := writeRows(ctx, r, text, to, form, func(done int64) { shown.show(done, total) })
		if err == nil {
			shown.show(n, n)
		}
		return err
	}
	if !toFile(flags.output.output) {
		return write(p.stdout)
	}
	file := writtenFile{flag: "-o", path: flags.output.output, source: r.Path(), keep: !flags.output.force}
	return file.write(ctx, func(to io.Writer) error {
		if !strings.HasSuffix(file.path, ".gz") {
			return write(to)
		}
		compressed := gzip.NewWriter(to)
		return errors.Join(write(compressed), compressed.Close())
	})
}
