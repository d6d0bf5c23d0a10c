package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/live"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// tokenVariable holds the token, where it is not on the command line.
const tokenVariable = "SPANBUCKET_TOKEN"

type serveFlags struct {
	db, listen, token string
	refresh           time.Duration
	includeOpen       bool
}

func (p *program) serveCommand() *cobra.Command {
	var flags serveFlags
	cmd := &cobra.Command{
		Use:   "serve --db FILE",
		Short: "Serve the report as a page that keeps itself up to date",
		Long: `Serve the report as a page that keeps itself up to date, until interrupted. A
collector may be writing meanwhile; a file that takes the place of the one that is
served is served next.

Without a token only loopback addresses are listened on, and only requests for such
a host are answered. On any other address every request needs the token, as
"Authorization: Bearer TOKEN" or as a cookie, which opening /?token=TOKEN once sets.
` + tokenVariable + ` holds the token too, and shows it to no other user. There is no TLS:
across a network, put a proxy in front.`,
		Example: `  spanbucket serve --db spanbucket.db
  ` + tokenVariable + `="$(openssl rand -hex 16)" spanbucket serve --db spanbucket.db --listen 0.0.0.0:8470`,
		Args: noArguments,
	}
	f := cmd.Flags()
	f.StringVar(&flags.db, "db", "", "the file to serve (required)")
	f.StringVar(&flags.listen, "listen", "127.0.0.1:8470", "address to listen on; port 0 takes a free one")
	f.StringVar(&flags.token, "token", "", "what every request must carry, 16 characters at least (default: $"+tokenVariable+")")
	f.DurationVar(&flags.refresh, "refresh", 5*time.Second, "how often a page asks for what is new")
	f.BoolVar(&flags.includeOpen, "include-open", false, "take recent buckets into account that may still lack spans")
	complete(cmd, "db", func() ([]string, cobra.ShellCompDirective) {
		return []string{"db"}, cobra.ShellCompDirectiveFilterFileExt
	})
	completeNothing(cmd, "listen", "token", "refresh")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return p.serve(cmd.Context(), &flags) }
	return cmd
}

func (f *serveFlags) check() error {
	if f.db == "" {
		return usageError{errors.New("--db FILE is missing")}
	}
	if f.refresh < time.Second {
		return usageError{fmt.Errorf("--refresh %s: must be a second at least", f.refresh)}
	}
	if f.token == "" {
		f.token = os.Getenv(tokenVariable)
	}
	if err := live.CheckAddress(f.listen, f.token); err != nil {
		return usageError{fmt.Errorf("--listen %w; --token or %s gives one", err, tokenVariable)}
	}
	return nil
}

func (p *program) serve(ctx context.Context, flags *serveFlags) error {
	if err := flags.check(); err != nil {
		return err
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", flags.listen)
	if err != nil {
		return usageError{fmt.Errorf("--listen: %w", err)}
	}
	o := live.Options{
		Path: flags.db, Token: flags.token, Refresh: flags.refresh, Now: p.now,
		Query: analysis.Query{IncludeOpen: flags.includeOpen}, Log: log.New(cleanWriter{p.stderr}, "", 0),
	}
	o.OnReady = func() {
		hint := ""
		if flags.token != "" {
			hint = "?token=TOKEN"
		}
		fmt.Fprintf(p.stderr, "serving http://%s/%s\n", l.Addr(), hint)
	}
	return live.Serve(ctx, l, o)
}

// cleanWriter makes lines safe for a terminal.
type cleanWriter struct{ to io.Writer }

func (w cleanWriter) Write(line []byte) (int, error) {
	_, err := fmt.Fprintln(w.to, tables.Clean(strings.TrimSuffix(string(line), "\n")))
	return len(line), err
}
