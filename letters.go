package spanbucketexporter

import (
	"context"
	"errors"
	"sync"

	"go.uber.org/zap"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// letterRetrier folds dead letters again when somebody asks for it.
type letterRetrier struct {
	exporter *tracesExporter
	due      chan struct{} // has room for one token
	ctx      context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

func newLetterRetrier(e *tracesExporter) *letterRetrier {
	l := &letterRetrier{exporter: e, due: make(chan struct{}, 1)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// wake says that letters are due. It never waits.
func (l *letterRetrier) wake() {
	select {
	case l.due <- struct{}{}:
	default:
	}
}

func (l *letterRetrier) start() {
	l.running.Go(func() {
		for {
			select {
			case <-l.ctx.Done():
				return
			case <-l.due:
			}
			if err := l.retryAll(); err != nil && l.ctx.Err() == nil {
				l.exporter.set.Logger.Warn("dead letters wait for another attempt", zap.Error(err))
			}
		}
	})
}

func (l *letterRetrier) stop() {
	l.cancel()
	l.running.Wait()
}

// retryAll tries every letter that is due once. An error is one of the file:
// the letters stay due.
func (l *letterRetrier) retryAll() error {
	for id := int64(0); ; {
		letter, found, err := l.exporter.store.NextDueLetter(l.ctx, id)
		if err != nil || !found {
			return err
		}
		if err := l.retry(&letter); err != nil {
			return err
		}
		id = letter.ID
	}
}

func (l *letterRetrier) retry(letter *storage.DueLetter) error {
	e := l.exporter
	failure := storage.FailurePoison
	folded, err := e.folder.FoldLetter(letter)
	if err == nil {
		err = e.store.WriteAgain(l.ctx, letter, folded)
		failure = storage.FailureOf(err)
	}
	switch {
	case err == nil:
		e.set.Logger.Info("dead letter is stored", zap.Int64("id", letter.ID))
		return nil
	case failure == storage.FailurePoison || failure == storage.FailureUnknown:
		e.set.Logger.Error("dead letter cannot be stored", zap.Int64("id", letter.ID), zap.Error(err))
		return e.store.FailedAgain(l.ctx, letter, failure, err.Error())
	default:
		return err
	}
}

// logLetters tells of spans that became dead letters.
func (e *tracesExporter) logLetters(letters []*storage.Letter, cause error) {
	held := 0
	for _, l := range letters {
		held += l.Spans
	}
	fields := []zap.Field{zap.Int("letters", len(letters)), zap.Int("spans", held), zap.Error(cause)}
	var panicked *storage.PanicError
	if errors.As(cause, &panicked) {
		fields = append(fields, zap.ByteString("panic_stack", panicked.Stack))
	}
	e.set.Logger.Error("spans that cannot be stored are kept as dead letters; see spanbucket deadletters", fields...)
}
