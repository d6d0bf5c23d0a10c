package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/storage"
)

func (p *program) exportLettersCommand() *cobra.Command {
	var flags letterFlags
	var out string
	cmd := &cobra.Command{
		Use:   "export --out FOLDER --db FILE",
		Short: "Write spans that could not be folded to files, as OTLP",
		Long: `Write spans that could not be folded to files, each dead letter to
FOLDER/dead-letter-ID.binpb: OTLP TracesData in protobuf, which every OTLP receiver
takes. They stay in the database, which counts a span that is sent to its own
collector again as a duplicate: into the same file only "deadletters retry"
brings them. Where one of the files is there already, none is
written.`,
		Example: `  spanbucket deadletters export --out letters --db spanbucket.db
  curl --data-binary @letters/dead-letter-7.binpb -H 'Content-Type: application/x-protobuf' http://localhost:4318/v1/traces`,
		Args: noArguments,
	}
	flags.add(cmd, "the file to read (required)", false)
	cmd.Flags().StringVar(&out, "out", "", "the folder to write to, made where it is missing (required)")
	complete(cmd, "out", func() ([]string, cobra.ShellCompDirective) { return nil, cobra.ShellCompDirectiveFilterDirs })
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := flags.checkAll(); err != nil {
			return err
		}
		if out == "" {
			return usageError{errors.New("--out FOLDER is missing")}
		}
		answer := &exported{Files: []string{}}
		err := flags.view(cmd.Context(), func(tx *sql.Tx) error {
			return exportLetters(cmd.Context(), tx, flags.ids, out, answer)
		})
		if err != nil {
			return letterError(err)
		}
		if len(answer.Files) == 0 {
			return fmt.Errorf("%w: the file has no dead letters", errNoData)
		}
		return p.writeExported(flags.format, out, answer)
	}
	return cmd
}

// exported is the answer of deadletters export.
type exported struct {
	Files []string `json:"files"`
	Bytes int64    `json:"bytes"`
}

// exportLetters writes the letters with the given ids, nil means all.
func exportLetters(ctx context.Context, tx *sql.Tx, ids []int64, folder string, answer *exported) error {
	const firstWithLetters = 4 // schema
	if err := storage.CheckSchema(ctx, tx, firstWithLetters); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	letters, err := storage.ReadLetterStates(ctx, tx, ids)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	for _, l := range letters {
		name := letterName(folder, l.ID)
		switch _, err := os.Lstat(name); {
		case err == nil:
			return usageError{fmt.Errorf("--out %s: %s is there already; nothing was written", folder, filepath.Base(name))}
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("export: %w", err)
		}
	}
	if len(letters) > 0 {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	for _, l := range letters {
		payload, err := storage.ReadLetter(ctx, tx, l.ID)
		name := letterName(folder, l.ID)
		if err == nil {
			err = writeNew(name, payload)
		}
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		answer.Files = append(answer.Files, name)
		answer.Bytes += int64(len(payload))
	}
	return nil
}

func letterName(folder string, id int64) string {
	return filepath.Join(folder, fmt.Sprintf("dead-letter-%d.binpb", id))
}

// writeNew writes a file that must not be there, and makes it durable: whoever
// has it may purge the letter. A file that cannot be written whole is removed.
func writeNew(name string, content []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

func (p *program) writeExported(format, folder string, answer *exported) error {
	switch format {
	case "json":
		return writeJSON(p.stdout, answer)
	case "csv":
		var records [][]any
		for _, name := range answer.Files {
			records = append(records, []any{name})
		}
		return writeCSV(p.stdout, []string{"file"}, records)
	}
	n := int64(len(answer.Files))
	_, err := fmt.Fprintln(p.stdout, tables.Clean(fmt.Sprintf("%s dead %s written to %s (%s)", tables.Count(n), tables.Plural(n, "letter"), folder, tables.Bytes(answer.Bytes))))
	return err
}
