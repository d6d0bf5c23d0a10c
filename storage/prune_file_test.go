package storage

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// onlyMinute keeps the last minute of the two finer widths.
func onlyMinute(t *testing.T, path string) PruneBounds {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	b, err := ReadPruneBounds(t.Context(), r)
	require.NoError(t, err)
	b.Widths[0].Retention, b.Widths[1].Retention = time.Minute, time.Minute
	return b
}

// TestPruneFile: alone, and where a collector writes the file, the same leaves;
// the collector goes on with its own bounds.
func TestPruneFile(t *testing.T) {
	for _, open := range []bool{false, true} {
		t.Run(fmt.Sprintf("open=%v", open), func(t *testing.T) {
			now := anInstant.Add(10 * time.Minute)
			o := prunedOptions(t, &now)
			o.Limits.MaxSeries = 1000
			for i := range o.Widths {
				o.Widths[i].Retention = 0
			}
			s := openStore(t, o)
			manyBuckets(t, s, o, 0, 600, 20)
			if !open {
				require.NoError(t, s.Close())
			}
			bounds := onlyMinute(t, o.Path)
			r, err := OpenReader(t.Context(), o.Path)
			require.NoError(t, err)
			planned, err := PlanPrune(t.Context(), r, bounds, now.Unix())
			require.NoError(t, err)
			require.NoError(t, r.Close())
			told := 0
			result, err := PruneFile(t.Context(), o.Path, bounds, o.Now, func(PruneResult) { told++ })
			require.NoError(t, err)
			require.Positive(t, told)
			require.Equal(t, planned.Left, result.Left)
			require.Len(t, result.Left, 2)
			require.Less(t, result.After, result.Before)
			require.Len(t, startsOf(t, o.Path, 10), 7, "the one that is cut stays whole")
			require.Len(t, startsOf(t, o.Path, 60), 10)
			require.Empty(t, texts(t, o.Path, "SELECT value FROM meta WHERE key = 'prune_request'"))
			if open {
				manyBuckets(t, s, o, 10*time.Minute, 600, 20)
				require.NoError(t, s.Prune(t.Context()))
				require.Len(t, startsOf(t, o.Path, 10), 67, "what is configured keeps everything")
				require.NoError(t, s.Close())
			}
			require.Empty(t, verifyAll(t, o.Path))

			again, err := PruneFile(t.Context(), o.Path, onlyMinuteOff(bounds), o.Now, nil)
			require.NoError(t, err)
			require.Empty(t, again.Left)
		})
	}
}

func onlyMinuteOff(b PruneBounds) PruneBounds {
	for i := range b.Widths {
		b.Widths[i].Retention = 0
	}
	return b
}

// TestInterruptedPruneFile takes back what it asked for.
func TestInterruptedPruneFile(t *testing.T) {
	now := anInstant
	o := prunedOptions(t, &now)
	s := openStore(t, o)
	writeAt(t, s, o, 0)
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	held := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		// The writer is busy until the request was taken back.
		done <- s.writer.queue.submit(t.Context(), &waiting{task: func(context.Context, *writer) error {
			close(held)
			<-release
			return nil
		}, alone: true})
	}()
	<-held
	cancel()
	_, err := PruneFile(ctx, o.Path, onlyMinute(t, o.Path), o.Now, nil)
	close(release)
	require.Error(t, err)
	require.NoError(t, <-done)
	require.Empty(t, texts(t, o.Path, "SELECT value FROM meta WHERE key = 'prune_request'"))
	require.NoError(t, s.Close())
}
