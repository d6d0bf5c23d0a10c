package storage

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// lettersFile has letters 1 to n of two spans each, and spans that were folded.
func lettersFile(t *testing.T, n int) (*Store, Options) {
	t.Helper()
	o := dedupOptions(t)
	s := openStore(t, o)
	require.NoError(t, s.Write(t.Context(), delivery(o, 1)))
	for i := range n {
		require.NoError(t, s.WriteLetters(t.Context(), []*Letter{letterOf(100+2*i, 101+2*i)}))
	}
	return s, o
}

func states(t *testing.T, path string, ids []int64) []LetterState {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	found, err := ReadLetterStates(t.Context(), r, ids)
	require.NoError(t, err)
	return found
}

func TestLettersAreAskedForAgain(t *testing.T) {
	_, o := lettersFile(t, 3)
	for _, test := range []struct {
		ids  []int64
		due  int
		want []bool
	}{
		{[]int64{}, 0, []bool{false, false, false}},
		{[]int64{2}, 1, []bool{false, true, false}},
		{[]int64{2, 3, 2}, 2, []bool{false, true, true}},
		{nil, 3, []bool{true, true, true}},
	} {
		due, err := RequestRetry(t.Context(), o.Path, test.ids)
		require.NoError(t, err)
		require.Equal(t, test.due, due)
		for i, s := range states(t, o.Path, nil) {
			require.Equal(t, LetterState{ID: int64(i + 1), Attempts: 1, Due: test.want[i]}, s)
		}
	}
	require.Empty(t, problemsOf(t, o.Path))
}

func TestLettersAreDeletedAndCounted(t *testing.T) {
	s, o := lettersFile(t, 4)
	ledger := ledgerOf(t, o.Path)
	for _, test := range []struct {
		ids     []int64
		letters int
		left    int
	}{{[]int64{}, 0, 4}, {[]int64{3, 1}, 2, 2}, {nil, 2, 0}, {nil, 0, 0}} {
		letters, spans, err := PurgeDeadLetters(t.Context(), o.Path, test.ids)
		require.NoError(t, err)
		require.Equal(t, test.letters, letters)
		require.EqualValues(t, 2*test.letters, spans)
		require.Len(t, states(t, o.Path, nil), test.left)
		require.Empty(t, problemsOf(t, o.Path))
	}
	require.Equal(t, ledger, ledgerOf(t, o.Path), "it says what became of the spans")
	require.EqualValues(t, 8, one[int64](t, o.Path, "SELECT spans FROM notes WHERE reason = 'dead_letter_purged'"))
	require.NoError(t, s.Write(t.Context(), delivery(o, 100)))
	require.EqualValues(t, 1, ledgerOf(t, o.Path)["duplicate"], "it is not counted again")
}

// TestUnknownLettersAreNamed, and nothing is done to the others.
func TestUnknownLettersAreNamed(t *testing.T) {
	_, o := lettersFile(t, 2)
	before := states(t, o.Path, nil)
	var unknown *UnknownLettersError
	_, err := RequestRetry(t.Context(), o.Path, []int64{1, 9, 2, -1})
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, []int64{9, -1}, unknown.IDs)
	require.EqualError(t, unknown, "the file has no dead letter 9, -1")
	_, _, err = PurgeDeadLetters(t.Context(), o.Path, []int64{1, 9})
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, before, states(t, o.Path, nil))
	require.Equal(t, before[:1], states(t, o.Path, []int64{1, 1}))

	r, err := OpenReader(t.Context(), o.Path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	payload, err := ReadLetter(t.Context(), r, 2)
	require.NoError(t, err)
	require.Equal(t, "[102 103]", string(payload))
	_, err = ReadLetter(t.Context(), r, 3)
	require.ErrorAs(t, err, &unknown)
	_, err = ReadLetterStates(t.Context(), r, []int64{2, 3})
	require.ErrorAs(t, err, &unknown)
}

// TestLettersBesideTheirCollector asks for letters and deletes them while a
// collector tries them, every other in vain: each is a number, or a letter, or
// was deleted.
func TestLettersBesideTheirCollector(t *testing.T) {
	rng := seedtest.Rand(t)
	const letters = 30
	due := make(chan struct{}, 1)
	s, o := lettersFile(t, letters)
	require.NoError(t, s.Close())
	o.OnLettersDue = func() {
		select {
		case due <- struct{}{}:
		default:
		}
	}
	s = openStore(t, o)
	ctx, stop := context.WithCancel(t.Context())
	var retrying sync.WaitGroup
	var failed error
	retrying.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-due:
			case <-time.After(10 * time.Millisecond): // more often than the writer says
			}
			failed = errors.Join(failed, retryLetters(s, o))
		}
	})
	for range 20 {
		_, err := RequestRetry(t.Context(), o.Path, nil)
		require.NoError(t, err)
		if left := states(t, o.Path, nil); len(left) > 0 && rng.IntN(2) == 0 {
			id := left[rng.IntN(len(left))].ID
			_, _, err := PurgeDeadLetters(t.Context(), o.Path, []int64{id})
			var unknown *UnknownLettersError
			if !errors.As(err, &unknown) { // stored meanwhile
				require.NoError(t, err)
			}
		}
	}
	stop()
	retrying.Wait()
	require.NoError(t, failed)
	require.NoError(t, s.Close())
	require.Empty(t, problemsOf(t, o.Path))
	ledger := ledgerOf(t, o.Path)
	require.EqualValues(t, 1+2*letters, ledger["received"])
	require.Equal(t, ledger["received"], ledger["folded"]+ledger["dead_letter"])
	require.Greater(t, ledger["folded"], int64(1))
	require.Equal(t, ledger["folded"], one[int64](t, o.Path, spansInBuckets))
}

// retryLetters does what an exporter does with letters that are due.
func retryLetters(s *Store, o Options) error {
	for id := int64(0); ; {
		letter, found, err := s.NextDueLetter(context.Background(), id)
		if err != nil || !found {
			return err
		}
		id = letter.ID
		if id%2 == 0 {
			err = s.FailedAgain(context.Background(), &letter, FailurePoison, "still")
		} else {
			err = s.WriteAgain(context.Background(), &letter, delivery(o, int(98+2*id), int(99+2*id)))
		}
		if err != nil {
			return err
		}
	}
}
