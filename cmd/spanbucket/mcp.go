package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/mcpserver"
	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/storage"
)

func (p *program) mcpCommand() *cobra.Command {
	var db, folder string
	cmd := &cobra.Command{
		Use:   "mcp [--db FILE | --search-dir FOLDER]",
		Short: "Answer an agent over the Model Context Protocol, on stdin and stdout",
		Long: `Answer an agent over the Model Context Protocol, on stdin and stdout, until stdin
ends. Each question (diagnose, errors, latency, faults …) is a tool with short answers;
query takes one SELECT, read-only, at most 100 rows and 2 s. A collector may be writing.

Without --db the file is searched for: in the folder and up to three folders deeper,
not in hidden ones, the spanbucket file that was written last. stderr says which.`,
		Example: `  spanbucket mcp --db spanbucket.db
  spanbucket mcp --search-dir ./runs`,
		Args: noArguments,
	}
	cmd.Flags().StringVar(&db, "db", "", "the file to answer about (default: searched for)")
	cmd.Flags().StringVar(&folder, "search-dir", ".", "the folder to search")
	complete(cmd, "db", func() ([]string, cobra.ShellCompDirective) {
		return []string{"db"}, cobra.ShellCompDirectiveFilterFileExt
	})
	complete(cmd, "search-dir", func() ([]string, cobra.ShellCompDirective) { return nil, cobra.ShellCompDirectiveFilterDirs })
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if db != "" && cmd.Flags().Changed("search-dir") {
			return usageError{errors.New("--db and --search-dir: one of the two")}
		}
		return p.mcp(cmd.Context(), db, folder)
	}
	return cmd
}

func (p *program) mcp(ctx context.Context, db, folder string) error {
	if db == "" {
		found, err := storage.Find(folder)
		if err != nil {
			return usageError{fmt.Errorf("--search-dir %s: %w", folder, err)}
		}
		db = found[0]
		fmt.Fprintf(p.stderr, "answering about %s, the last written of %s %s\n",
			tables.Clean(db), tables.Count(int64(len(found))), tables.Plural(int64(len(found)), "file"))
	}
	// Wrong files are told now, not to the agent with every call.
	r, err := storage.OpenReader(ctx, db)
	if err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	in, ok := p.stdin.(io.ReadCloser)
	if !ok {
		in = io.NopCloser(p.stdin)
	}
	return mcpserver.Serve(ctx, mcpserver.Options{Path: db, Version: version(), Now: p.now}, in, leftOpen{p.stdout})
}

// leftOpen is an output that is not closed.
type leftOpen struct{ io.Writer }

func (leftOpen) Close() error { return nil }
