package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/folding"
	"github.com/spanbucket/spanbucketexporter/recording"
)

// importFlags are those of import.
type importFlags struct {
	fileFlags
	like, run, runName, secretFile string
	runSet                         bool
	strict                         bool
	talk                           talkFlags
}

func (p *program) importCommand() *cobra.Command {
	var flags importFlags
	cmd := &cobra.Command{
		Use:   "import FILE… --db FILE",
		Short: "Fold recorded OTLP spans into a file, without a collector",
		Long: `Fold spans that were recorded into a new file, or add them to one, as the exporter
would have: with its rules, its deduplication, its ledger and its dead letters. No
collector may be writing to the file.

Recordings are what the collector's file exporter writes, as JSON or protobuf, also
compressed with zstd; a single OTLP message; and any of these in gzip. - is stdin.
What cannot be read is named, left out and counted; then the exit code is 1, and the
rest is in the file.

Spans are read and stored with the settings that the file was last written with: its
widths, dimensions, prices and so on. A new file gets those of --like FILE, such as
one that a collector with the wanted configuration has begun, else the defaults of
the exporter. Spans that name no run belong to the one that is open in the file.

An import that was interrupted goes on when it is started again: what is in the file
already is a duplicate, as long as the deduplication window reaches (dedup.window,
dedup.max_spans). Spans without a trace or span id are counted again.`,
		Example: `  spanbucket import traces.json traces-2026-01-30T10-00-00.000.json --db january.db
  zcat old.jsonl.gz | spanbucket import - --db old.db --run load-1 --like production.db`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("%s: FILE is missing", cmd.Name())}
			}
			return nil
		},
	}
	flags.fileFlags.add(cmd, "the file to write to, made where it is missing (required)")
	f := cmd.Flags()
	f.StringVar(&flags.like, "like", "", "use the settings of this file instead of those of the file written to")
	f.StringVar(&flags.run, "run", "", "the run of spans that name none")
	f.StringVar(&flags.runName, "run-name", "", "the name of --run")
	f.StringVar(&flags.secretFile, "secret-file", "", "a file that holds dedup.secret; a file with spans keeps its own")
	f.BoolVar(&flags.strict, "strict", false, "end at the first thing that cannot be read; what is written stays")
	flags.talk.add(cmd)
	completeNothing(cmd, "run", "run-name")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		flags.runSet = f.Changed("run")
		if err := flags.check(); err != nil {
			return err
		}
		return p.importFiles(cmd.Context(), &flags, args)
	}
	return cmd
}

func (f *importFlags) check() error {
	if err := f.checkAll(); err != nil {
		return err
	}
	if f.runName != "" && f.run == "" {
		return usageError{fmt.Errorf("--run-name %q: needs --run", f.runName)}
	}
	return nil
}

// recordings returns the named files, each of which is there, and their bytes; 0
// where that is unknown.
func (p *program) recordings(names []string, db string) (files []recording.File, total int64, err error) {
	ours, _ := os.Stat(db)
	known := true
	for i, name := range names {
		if name == "-" {
			if slices.Contains(names[:i], name) {
				return nil, 0, usageError{errors.New("- stands there twice")}
			}
			files = append(files, recording.File{Name: "stdin", Open: func() (io.ReadCloser, error) { return io.NopCloser(p.stdin), nil }})
			known = false
			continue
		}
		info, err := os.Stat(name)
		switch {
		case err != nil:
			return nil, 0, err
		case info.IsDir():
			return nil, 0, usageError{fmt.Errorf("FILE %s: is a folder", name)}
		case ours != nil && os.SameFile(ours, info):
			return nil, 0, usageError{fmt.Errorf("FILE %s: is the file to write to", name)}
		}
		known = known && info.Mode().IsRegular()
		total += info.Size()
		files = append(files, recording.File{Name: name, Open: func() (io.ReadCloser, error) { return os.Open(name) }})
	}
	if !known {
		total = 0
	}
	return files, total, nil
}

// settings returns what spans are read and stored with.
func (f *importFlags) settings(ctx context.Context, now func() time.Time) (s folding.Settings, err error) {
	source := f.like
	if source == "" {
		info, err := os.Stat(f.db)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && info.Mode().IsRegular() && info.Size() == 0:
			s = folding.Default()
		case err != nil:
			return s, err
		default:
			source = f.db
		}
	}
	if source != "" {
		if s, err = folding.OfFile(ctx, source); err != nil {
			return s, err
		}
	}
	o := &s.Storage
	o.Path, o.Holder, o.Now, o.WriterVersion = f.db, "spanbucket import", now, programVersion()
	if f.runSet {
		s.OnlyRun = &f.run
		o.RunID, o.RunName, o.RunPinned = f.run, f.runName, false
	}
	if f.secretFile != "" {
		if o.DedupSecret, err = readSecret(f.secretFile); err != nil {
			return s, usageError{fmt.Errorf("--secret-file %w", err)}
		}
	}
	// Nobody sends the batch again.
	s.MaxAttempts = 1
	return s.Complete()
}

// readSecret reads a secret; the end of its line is no part of it.
func readSecret(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if n := len(secret); n < folding.MinSecretBytes || n > folding.MaxSecretBytes {
		return "", fmt.Errorf("%s: must hold %d to %d bytes, got %d", path, folding.MinSecretBytes, folding.MaxSecretBytes, n)
	}
	return secret, nil
}
