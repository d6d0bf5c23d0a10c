package main

import (
	"database/sql"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/storage"
)

func (p *program) schemaCommand() *cobra.Command {
	var flags fileFlags
	cmd := &cobra.Command{
		Use:   "schema [--db FILE]",
		Short: "Print the relations of a file with their columns",
		Long: `Print the relations of a file with their columns, or, without --db, those of a
file that this version would write.`,
		Args: noArguments,
	}
	flags.add(cmd, "the file to describe (default: what this version would write)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := flags.check(); err != nil {
			return err
		}
		var relations []storage.Relation
		if flags.db == "" {
			relations, err = storage.EmbeddedRelations(cmd.Context())
		} else {
			err = flags.view(cmd.Context(), func(tx *sql.Tx) error {
				relations, err = storage.Relations(cmd.Context(), tx)
				return err
			})
		}
		if err != nil {
			return err
		}
		return p.writeSchema(flags.format, relations)
	}
	return cmd
}

func (p *program) writeSchema(format string, relations []storage.Relation) error {
	switch format {
	case "json":
		return writeJSON(p.stdout, struct {
			Relations []storage.Relation `json:"relations"`
		}{relations})
	case "csv":
		var records [][]any
		for _, r := range relations {
			for _, c := range r.Columns {
				records = append(records, []any{r.Name, r.Kind, c.Name, c.Type, c.Required})
			}
		}
		return writeCSV(p.stdout, []string{"relation", "kind", "column", "type", "required"}, records)
	}
	for i, r := range relations {
		if i > 0 {
			fmt.Fprintln(p.stdout)
		}
		if _, err := fmt.Fprintf(p.stdout, "%s (%s)\n", tables.Clean(r.Name), r.Kind); err != nil {
			return err
		}
		longest := 0
		for _, c := range r.Columns {
			longest = max(longest, tables.DisplayWidth(c.Name))
		}
		for _, c := range r.Columns {
			line := "  " + tables.Clean(c.Name)
			if c.Type != "" {
				line = fmt.Sprintf("  %-*s  %s", longest, tables.Clean(c.Name), tables.Clean(c.Type))
			}
			if c.Required {
				line += ", never NULL"
			}
			if _, err := fmt.Fprintln(p.stdout, line); err != nil {
				return err
			}
		}
	}
	return nil
}
