package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	seed       uint64
	spans      int           // in a batch
	rounds     int           // of every row
	warm       int           // batches of each caller before the first round
	each       int           // batches of a caller that is alone, per round
	shared     int           // batches of each of several callers, per round
	growth     int           // spans sent to one bucket; 0: none
	volume     int           // spans whose bytes are counted, for each size of batches; 0: none
	answers    time.Duration // length of the file that answers are asked of; 0: none
	rows       []string      // keys; none: all
	dir        string        // for database files
	results    string        // folder for the table; empty: none
	cpuprofile string
}

// batches returns how many batches a measurement sends.
func (o options) batches(callers int) int {
	if callers == 1 {
		return o.each
	}
	return o.shared * callers
}

// onlyAnswers tells that no cost of spans is asked for.
func (o options) onlyAnswers() bool { return slices.Equal(o.rows, []string{"answers"}) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// command is the program: the table goes to out, progress to talk.
func command(ctx context.Context, args []string, out, talk io.Writer) error {
	o, err := parse(args, talk)
	if err != nil {
		return err
	}
	if o.cpuprofile != "" {
		file, err := os.Create(o.cpuprofile)
		if err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	r, err := run(ctx, o, talk)
	if err != nil {
		return err
	}
	var table bytes.Buffer
	if err := r.writeTable(&table); err != nil {
		return err
	}
	if _, err := out.Write(table.Bytes()); err != nil {
		return err
	}
	if o.results == "" {
		return nil
	}
	r.writeRaw(&table)
	return save(o.results, r.machine.cpu, table.Bytes(), talk)
}

func save(folder, cpu string, table []byte, talk io.Writer) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("save: %w", err)
	}
	name := fmt.Sprintf("%s-%s.txt", time.Now().UTC().Format(time.DateOnly), slug(cpu))
	if err := os.WriteFile(filepath.Join(folder, name), table, 0o644); err != nil {
		return fmt.Errorf("save: %w", err)
	}
	fmt.Fprintln(talk, "written to", filepath.Join(folder, name))
	return nil
}

// slug makes a file name of a CPU's name.
func slug(cpu string) string {
	words := strings.FieldsFunc(strings.ToLower(cpu), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(words, "-")
}

func parse(args []string, talk io.Writer) (options, error) {
	var o options
	var quick bool
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(talk)
	flags.Uint64Var(&o.seed, "seed", 1, "of the traffic")
	flags.IntVar(&o.rounds, "rounds", 12, "rounds of every row, at least 8")
	flags.IntVar(&o.growth, "growth", 10_000_000, "`spans` sent to one bucket, 0 for none")
	flags.IntVar(&o.volume, "volume", 65_536, "`spans` whose bytes are counted for each size of batches, 0 for none")
	flags.DurationVar(&o.answers, "answers", 24*time.Hour, "how long the file lasts that answers are asked of, 0 for none")
	flags.StringVar(&o.dir, "dir", ".tmp", "`folder` for database files, on a disk")
	flags.StringVar(&o.results, "results", "results", "`folder` for the table")
	flags.StringVar(&o.cpuprofile, "cpuprofile", "", "write a CPU profile to `file`")
	flags.BoolVar(&quick, "quick", false, "few and small rounds, nothing written: to see that it works")
	flags.Func("rows", "comma-separated `keys` of rows to run with those they are compared with (walk, unmarshal, fold, consume, …); answers alone asks only those",
		func(list string) error {
			o.rows = strings.Split(list, ",")
			return nil
		})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.spans, o.warm, o.each, o.shared = 8192, 2, 8, 3
	if quick {
		o.spans, o.rounds, o.warm, o.each, o.shared, o.results = 512, 2, 1, 2, 1, ""
		o.growth, o.volume = min(o.growth, 100_000), min(o.volume, 8_192)
		o.answers = min(o.answers, 2*dayBatch)
		return o, nil
	}
	if o.rounds < 8 {
		return o, fmt.Errorf("parse flags: -rounds %d: at least 8 are needed to tell a median from noise", o.rounds)
	}
	return o, nil
}
