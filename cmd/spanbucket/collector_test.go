package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// remembering are the options of a file that notices second deliveries.
func remembering(path string) storage.Options {
	o := filetest.Options(path, filetest.Begin.Add(time.Hour))
	o.DedupWindow, o.DedupMaxSpans, o.Holder = 24*time.Hour, 10_000, "exporter spanbucket"
	return o
}

// batchOf makes a batch of observations with a fingerprint for each.
func batchOf(o *storage.Options, observations []aggregator.Observation, first int) storage.Batch {
	delta := aggregator.NewDelta(storage.FinestWidths(o.Widths), o.Objectives...)
	fingerprints := make([]uint64, len(observations))
	for i := range observations {
		delta.Fold(&observations[i])
		fingerprints[i] = uint64(first + i + 1)
	}
	return storage.Batch{
		Delta: delta, Fingerprints: fingerprints,
		Observations: func(yield func(*aggregator.Observation) bool) {
			for i := range observations {
				if !yield(&observations[i]) {
					return
				}
			}
		},
	}
}

// letterSpans are in each dead letter of makeLetters.
const letterSpans = 5

// makeLetters is the command "makeletters FILE LETTERS": it writes 100 spans of
// filetest.Traffic, ten of them twice, and so many dead letters.
func makeLetters(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: makeletters FILE LETTERS")
	}
	letters, err := strconv.Atoi(args[1])
	ts.Check(err)
	ctx := context.Background()
	o := remembering(ts.MkAbs(args[0]))
	s, err := storage.Open(ctx, o)
	ts.Check(err)
	ts.Check(s.Write(ctx, batchOf(&o, filetest.Traffic(100), 0)))
	ts.Check(s.Write(ctx, batchOf(&o, filetest.Traffic(10), 0)))
	for i := range letters {
		ts.Check(s.WriteLetters(ctx, []*storage.Letter{{
			Failure: storage.FailurePoison, Error: "panic: =1+1 \x1b[31m", Attempts: 1, Spans: letterSpans,
			Fingerprints: func(storage.Basis) []uint64 { return make([]uint64, letterSpans) },
			Payload:      func(func(int) bool) []byte { return fmt.Appendf(nil, "payload %d\n", i+1) },
		}}))
	}
	ts.Check(s.Close())
}

// collect is the command "collect FILE": until the script ends, a writer has the
// file open as a collector would, and folds dead letters that are due, but for
// those with an even id.
func collect(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: collect FILE")
	}
	o := remembering(ts.MkAbs(args[0]))
	due := make(chan struct{}, 1)
	o.OnLettersDue = func() {
		select {
		case due <- struct{}{}:
		default:
		}
	}
	s, err := storage.Open(context.Background(), o)
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-due:
				ts.Check(retryDue(ctx, s, &o))
			}
		}
	})
	ts.Defer(func() {
		stop()
		running.Wait()
		ts.Check(s.Close())
	})
}

func retryDue(ctx context.Context, s *storage.Store, o *storage.Options) error {
	for id := int64(0); ; {
		letter, found, err := s.NextDueLetter(ctx, id)
		if err != nil || !found {
			return err
		}
		if id = letter.ID; id%2 == 0 {
			err = s.FailedAgain(ctx, &letter, storage.FailurePoison, "no better than before")
		} else {
			err = s.WriteAgain(ctx, &letter, batchOf(o, filetest.Traffic(letterSpans), 1000*int(id)))
		}
		if err != nil {
			return err
		}
	}
}
