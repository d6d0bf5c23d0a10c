package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// The exit codes.
const (
	exitFine       = 0
	exitCheck      = 1 // a check failed
	exitUsage      = 2 // wrong usage, or no data
	exitUnreadable = 3 // the file cannot be read, or is not ours
)

// errCheck and errNoData end a verb whose answer is already on its way; the
// message is for stderr.
var (
	errCheck  = errors.New("check failed")
	errNoData = errors.New("no data")
)

// usageError is the caller's own mistake.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// program is one invocation.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	now            func() time.Time
	asked          askedScope // of the question that was asked last
}

// run runs the program with args, the command line without its name, and
// returns the exit code. The answer goes to stdout, everything else to stderr.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr, now: time.Now}
	return p.run(ctx, args)
}

func (p *program) run(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(args)
	root.SetFlagErrorFunc(flagError(args))
	err := inFlags(root.ExecuteContext(ctx))
	if errors.Is(err, syscall.EPIPE) {
		return exitFine // whoever reads the answer has seen enough
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "spanbucket: %s\n", tables.Clean(oneLine(err)))
	}
	return exitCode(err)
}

// finish returns the error that a verb ends with, after its answer: the verdict
// on it, unless the answer could not be written. A reader that went away changes no
// verdict.
func finish(written, verdict error) error {
	if verdict != nil && errors.Is(written, syscall.EPIPE) {
		return verdict
	}
	return cmp.Or(written, verdict)
}

// oneLine returns the text of an error. What is joined in it stands on lines of
// its own, often the same several times: so it is where work is interrupted.
func oneLine(err error) string {
	var parts []string
	for part := range strings.SplitSeq(err.Error(), "\n") {
		if part != "" && !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "; ")
}

func exitCode(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitFine
	case errors.Is(err, errCheck):
		return exitCheck
	case errors.As(err, &usage), errors.Is(err, errNoData), errors.Is(err, analysis.ErrQuery):
		return exitUsage
	default:
		return exitUnreadable
	}
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "spanbucket VERB --db FILE",
		Short: "Ask a spanbucket file what became of the spans in it",
		Long: `Ask a file that the spanbucket exporter has written what became of the spans in it.

Exit codes: 0 fine, 1 a check failed, 2 wrong usage or no data, 3 the file cannot
be read or is not a spanbucket file, or the work was interrupted or could not be
written. Answers go to stdout, everything else to stderr.`,
		Version:       version(),
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{noSuchVerb(cmd, args[0])}
			}
			cmd.SetOut(p.stderr)
			if err := cmd.Help(); err != nil {
				return err
			}
			return usageError{errors.New("a verb is missing")}
		},
	}
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	addGroups(root, []verbGroup{
		{"answers", "Answers (start with diagnose, faults and report):", []*cobra.Command{
			p.diagnoseCommand(), p.faultsCommand(), p.reportCommand(), p.statsCommand(), p.timeseriesCommand(), p.latencyCommand(),
			p.errorsCommand(), p.burstsCommand(), p.anomaliesCommand(), p.windowCommand(), p.requestsCommand(), p.slowCommand(),
			p.usageCommand(), p.circuitsCommand(), p.sessionsCommand(), p.toolsCommand(), p.testsCommand(), p.sloCommand(), p.runsCommand(),
			p.compareCommand(), p.checkCommand(), p.queryCommand(), p.schemaCommand(),
		}},
		{"serving", "Serving:", []*cobra.Command{p.serveCommand(), p.mcpCommand()}},
		{"traffic", "Traffic:", []*cobra.Command{p.stressCommand()}},
		{"upkeep", "Upkeep:", []*cobra.Command{
			p.importCommand(), p.exportCommand(), p.mergeCommand(), p.snapshotCommand(), p.pruneCommand(), p.rebuildCommand(),
			p.verifyCommand(), p.deadLettersCommand(),
		}},
	})
	return root
}

// version says which build this is, and what it knows of files.
func version() string {
	build := "(unknown)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		build = info.Main.Version
	}
	return fmt.Sprintf("%s, %s, reads and writes files of schema %d", build, runtime.Version(), storage.SchemaVersion)
}
