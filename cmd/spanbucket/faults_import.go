package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/storage"
)

const (
	// maxImportBytes bounds what is read at once: more than
	// storage.MaxImportedWindows, unless they have long names.
	maxImportBytes = 16 << 20
	// maxPrintedProblems bounds what is said of one file.
	maxPrintedProblems = 100
)

var windowFormats = []string{"csv", "json"}

// windowExtensions tell the format of a file by its name.
var windowExtensions = map[string]string{".csv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json"}

func (p *program) importFaultsCommand() *cobra.Command {
	var flags fileFlags
	var from string
	cmd := &cobra.Command{
		Use:   "import FILE --db FILE",
		Short: "Take in windows in which faults were injected",
		Long: `Take in windows in which faults were injected, as the tool that injected them
recorded them. FILE is CSV with a line of names, a JSON array of objects, or one
JSON object per line; - is standard input. The columns, in any order:

  fault               what was injected, such as latency
  start, end          2026-01-30T10:00:00Z or @1769767200; the end is not part of it
  start_ns, end_ns    instead of these: Unix nanoseconds
  target              what it was aimed at (optional)
  run_id              the run it was injected into (optional; default: any)
  experiment_id       the experiment it belongs to (optional)

A file has at most 100,000 windows. One with a row that is wrong is refused as a
whole. A window that is there
already stays as it is. A collector may be writing to the file meanwhile.`,
		Example: `  spanbucket faults import windows.csv --db spanbucket.db
  chaos-tool history | spanbucket faults import - --from json --db spanbucket.db`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("import: must have one FILE, or - for standard input, got %d", len(args))}
			}
			return nil
		},
		ValidArgsFunction: cobra.FixedCompletions(extensionNames(), cobra.ShellCompDirectiveFilterFileExt),
	}
	flags.add(cmd, "the file to take them in (required)")
	cmd.Flags().StringVar(&from, "from", "", "what FILE is: "+strings.Join(windowFormats, ", ")+" (default: what its name ends in)")
	complete(cmd, "from", func() ([]string, cobra.ShellCompDirective) {
		return windowFormats, cobra.ShellCompDirectiveNoFileComp
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := flags.checkAll(); err != nil {
			return err
		}
		answer, err := p.importFaults(cmd.Context(), args[0], from, flags.db)
		if err != nil {
			return err
		}
		return p.writeImported(flags.format, answer)
	}
	return cmd
}

func extensionNames() (names []string) {
	for extension := range windowExtensions {
		names = append(names, extension[1:])
	}
	slices.Sort(names)
	return names
}

// imported is the answer of faults import.
type imported struct {
	Windows  int `json:"windows"`  // different ones in the file
	Added    int `json:"added"`    // of them, those that are new
	Known    int `json:"known"`    // and those that were there already
	Repeated int `json:"repeated"` // rows that say what an earlier one said
}

func (p *program) importFaults(ctx context.Context, name, from, db string) (*imported, error) {
	format, err := windowFormat(name, from)
	if err != nil {
		return nil, err
	}
	text, err := p.readInput(name)
	if err != nil {
		return nil, err
	}
	windows, problems := parseWindows(text, format)
	for _, problem := range problems[:min(len(problems), maxPrintedProblems)] {
		fmt.Fprintf(p.stderr, "%s\n", tables.Clean(name+":"+problem.String()))
	}
	if n := len(problems) - maxPrintedProblems; n > 0 {
		fmt.Fprintf(p.stderr, "and %s more\n", tables.Count(int64(n)))
	}
	if n := int64(len(problems)); n > 0 {
		return nil, usageError{fmt.Errorf("%s: %s %s, nothing was taken in", name, tables.Count(n), tables.Plural(n, "problem"))}
	}
	if len(windows) == 0 {
		return nil, fmt.Errorf("%s: %w", name, errNoData)
	}
	if n := len(windows); n > storage.MaxImportedWindows {
		return nil, usageError{fmt.Errorf("%s: %s windows, must be at most %s; split it", name, tables.Count(int64(n)), tables.Count(storage.MaxImportedWindows))}
	}
	different := distinct(windows)
	added, err := storage.ImportFaultWindows(ctx, db, different)
	if err != nil {
		return nil, err
	}
	return &imported{len(different), added, len(different) - added, len(windows) - len(different)}, nil
}

// windowFormat tells what a file is by its name, unless it is said.
func windowFormat(name, from string) (string, error) {
	if from != "" {
		if !slices.Contains(windowFormats, from) {
			return "", usageError{fmt.Errorf("--from %q: must be one of %s", from, strings.Join(windowFormats, ", "))}
		}
		return from, nil
	}
	if format, known := windowExtensions[strings.ToLower(filepath.Ext(name))]; known {
		return format, nil
	}
	return "", usageError{fmt.Errorf("import %s: the name does not tell what is inside; --from %s", name, strings.Join(windowFormats, " or --from "))}
}

// readInput reads a file, or standard input for "-", without the mark of the
// byte order that spreadsheets put in front.
func (p *program) readInput(name string) ([]byte, error) {
	in := p.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxImportBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxImportBytes {
		return nil, usageError{fmt.Errorf("%s: must not be larger than %s; split it", name, tables.Bytes(maxImportBytes))}
	}
	return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), nil
}

// distinct returns the windows that no earlier one equals.
func distinct(windows []aggregator.FaultWindow) (different []aggregator.FaultWindow) {
	seen := map[aggregator.FaultWindow]bool{}
	for _, w := range windows {
		if !seen[w] {
			seen[w] = true
			different = append(different, w)
		}
	}
	return different
}

func (p *program) writeImported(format string, answer *imported) error {
	switch format {
	case "json":
		return writeJSON(p.stdout, answer)
	case "csv":
		return writeCSV(p.stdout, []string{"windows", "added", "known", "repeated"}, [][]any{{
			int64(answer.Windows), int64(answer.Added), int64(answer.Known), int64(answer.Repeated),
		}})
	}
	text := fmt.Sprintf("%s %s: %s new, %s there already", tables.Count(int64(answer.Windows)), tables.Plural(int64(answer.Windows), "window"),
		tables.Count(int64(answer.Added)), tables.Count(int64(answer.Known)))
	if n := int64(answer.Repeated); n > 0 {
		text += fmt.Sprintf("; %s %s repeated", tables.Count(n), tables.Plural(n, "row"))
	}
	_, err := fmt.Fprintln(p.stdout, text)
	return err
}
