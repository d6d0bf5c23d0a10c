package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// talkFlags say whether long work shows how far it has come.
type talkFlags struct {
	progress, quiet bool
}

func (f *talkFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.progress, "progress", false, "show on stderr how far it has come (default: where that is a terminal)")
	cmd.Flags().BoolVar(&f.quiet, "quiet", false, "show nothing of the kind")
}

// outputFlags name a file that is written.
type outputFlags struct {
	output string
	force  bool
}

func (f *outputFlags) add(cmd *cobra.Command, usage, forceUsage string) {
	cmd.Flags().StringVarP(&f.output, "output", "o", "", usage)
	cmd.Flags().BoolVar(&f.force, "force", false, forceUsage)
	complete(cmd, "output", func() ([]string, cobra.ShellCompDirective) { return nil, cobra.ShellCompDirectiveDefault })
}

// outputError says what to do where a file is not written over.
func outputError(err error) error {
	switch {
	case errors.Is(err, storage.ErrExists):
		return usageError{fmt.Errorf("%w; --force replaces it", err)}
	case errors.Is(err, storage.ErrInUse), errors.Is(err, storage.ErrLocked):
		return usageError{err}
	}
	return err
}

func (p *program) snapshotCommand() *cobra.Command {
	var flags fileFlags
	var output outputFlags
	var talk talkFlags
	cmd := &cobra.Command{
		Use:   "snapshot --db FILE -o COPY",
		Short: "Copy a file as it is at one instant, while a collector writes it",
		Long: `Copy a file as it is at one instant: with every span whose sender was told OK
before. A collector may be writing it meanwhile. The copy gets its name when all of
it is on the disk; one that is interrupted leaves nothing behind.

It is a copy, with the writer id of the original: "merge" refuses the two together,
and a collector should go on with one of them only.`,
		Example: `  spanbucket snapshot --db spanbucket.db -o monday.db && spanbucket verify --db monday.db`,
		Args:    noArguments,
	}
	flags.add(cmd, "the file to copy (required)")
	output.add(cmd, "the copy (required)", "replace a spanbucket file that has that name already")
	talk.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := flags.checkAll(); err != nil {
			return err
		}
		if output.output == "" {
			return usageError{errors.New("-o COPY is missing")}
		}
		made, err := p.snapshot(cmd.Context(), &flags, &output, &talk)
		if err != nil {
			return outputError(err)
		}
		return p.writeSnapshot(flags.format, made)
	}
	return cmd
}

func (p *program) snapshot(ctx context.Context, flags *fileFlags, output *outputFlags, talk *talkFlags) (s storage.Snapshot, err error) {
	r, err := flags.open(ctx)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	shown := p.newProgress(talk.progress, talk.quiet, "bytes")
	shown.size = true
	defer shown.end()
	return r.Snapshot(ctx, output.output, storage.SnapshotOptions{Replace: output.force, OnProgress: shown.show})
}

func (p *program) writeSnapshot(format string, made storage.Snapshot) error {
	switch format {
	case "json":
		return writeJSON(p.stdout, made)
	case "csv":
		return writeCSV(p.stdout, []string{"file", "bytes", "writer_id", "version"}, [][]any{{made.Path, made.Bytes, made.WriterID, made.Version}})
	}
	_, err := fmt.Fprintln(p.stdout, tables.Clean(fmt.Sprintf("%s is a copy as of commit %s (%s)",
		made.Path, strconv.FormatInt(made.Version, 10), tables.Bytes(made.Bytes))))
	return err
}
