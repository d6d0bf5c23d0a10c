package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/report"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// reportFormats are those of a report, the default first.
var reportFormats = []string{"text", "html", "md", "json"}

func (p *program) reportCommand() *cobra.Command {
	var flags queryFlags
	var output string
	cmd := &cobra.Command{
		Use:   "report --db FILE [-o FILE]",
		Short: "Put every answer about a file into one report",
		Long: `Put every answer about a file into one report, all of one instant; a collector may
be writing meanwhile. As HTML it is a single file that needs no network; as text or
Markdown it has the first view only.

The report has a view of every run together and of each of the newest ones, by what
the file calls requests and by each category. It holds neither the time at which it
is made nor the path of the file: a report made later of the same settled data is
the same, byte for byte.

A file that is written is for its owner only and appears when all of it is on the
disk. A regular file of that name is replaced, unless it is a database.`,
		Example: `  spanbucket report --db spanbucket.db -o report.html
  spanbucket report --db spanbucket.db --run nightly-17 --format md >> "$GITHUB_STEP_SUMMARY"`,
		Args: noArguments,
	}
	flags.add(cmd)
	format := cmd.Flags().Lookup("format")
	format.DefValue = ""
	format.Usage = "how to write: " + strings.Join(reportFormats, ", ") + " (default: what the name of the output ends in, else " + reportFormats[0] + ")"
	cmd.Flags().StringVarP(&output, "output", "o", "", "the file to write; - is stdout (default: stdout)")
	complete(cmd, "output", func() ([]string, cobra.ShellCompDirective) { return nil, cobra.ShellCompDirectiveDefault })
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !format.Changed {
			if flags.format = reportFormat(output); flags.format == "" {
				return usageError{fmt.Errorf("-o %s: must end in .html, .md, .txt or .json, or else --format says how to write", output)}
			}
		}
		if !slices.Contains(reportFormats, flags.format) {
			return usageError{fmt.Errorf("--format %q: must be one of %s", flags.format, strings.Join(reportFormats, ", "))}
		}
		err := p.report(cmd.Context(), &flags, "-o", output)
		if err == nil && toFile(output) {
			fmt.Fprintf(p.stderr, "wrote %s\n", tables.Clean(output))
		}
		return err
	}
	return cmd
}

// toFile tells whether an output is a file, rather than stdout.
func toFile(output string) bool { return output != "" && output != "-" }

// reportFormat is the format that the name of the output asks for; empty where it
// asks for none that there is.
func reportFormat(output string) string {
	if !toFile(output) {
		return reportFormats[0]
	}
	format := strings.TrimPrefix(strings.ToLower(filepath.Ext(output)), ".")
	if long, known := map[string]string{"htm": "html", "markdown": "md", "txt": "text"}[format]; known {
		format = long
	}
	if slices.Contains(reportFormats, format) {
		return format
	}
	return ""
}

func (p *program) report(ctx context.Context, flags *queryFlags, flag, output string) error {
	if flags.db == "" {
		return usageError{errors.New("--db FILE is missing")}
	}
	file := writtenFile{flag: flag, path: output, source: flags.db}
	if toFile(output) {
		if err := file.check(); err != nil { // before the work
			return err
		}
	}
	made, err := p.assemble(ctx, flags)
	if err != nil {
		return err
	}
	write := map[string]func(io.Writer) error{
		"text": made.WriteText, "html": made.WriteHTML, "md": made.WriteMarkdown, "json": made.WriteJSON,
	}[flags.format]
	if !toFile(output) {
		return write(p.stdout)
	}
	return file.write(ctx, write)
}

// assemble reads everything in one transaction, so that the file need not
// stand still while the report is written.
func (p *program) assemble(ctx context.Context, flags *queryFlags) (made *report.Report, err error) {
	reader, err := flags.openUnchecked(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	err = reader.View(ctx, func(tx *sql.Tx) error {
		q, err := flags.query(ctx, p, tx)
		if err != nil {
			return err
		}
		o := report.Options{Query: q}
		if flags.format == "text" || flags.format == "md" {
			o.MaxPicks = 1 // they show the first
		}
		made, err = report.Assemble(ctx, tx, o)
		return err
	})
	if err == nil && len(made.Picks) == 0 {
		err = p.noData(made.Scope())
	}
	return made, err
}
