package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spanbucket/spanbucketexporter/internal/spantest"
)

var profiles = []spantest.Profile{spantest.Dense, spantest.Wide}

// report is everything that a run found.
type report struct {
	options options
	machine machine
	results []result
	growth  []growth
	volumes []volume
	sizes   []size
	answers *answers // nil: none were asked for
}

// result is one row of one profile.
type result struct {
	row
	profile string
	costs   []cost  // one per round
	peers   []cost  // of the row it is compared with, round by round
	kept    float64 // share of the spans that are kept as requests
}

// run measures everything. Progress goes to talk.
func run(ctx context.Context, o options, talk io.Writer) (*report, error) {
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return nil, fmt.Errorf("create folder: %w", err)
	}
	dir, err := os.MkdirTemp(o.dir, "bench-")
	if err != nil {
		return nil, fmt.Errorf("create folder: %w", err)
	}
	defer os.RemoveAll(dir)
	r := &report{options: o}
	if r.machine, err = describe(dir); err != nil {
		return nil, err
	}
	if r.machine.inMemory {
		return nil, fmt.Errorf("choose folder: -dir is on %s, where a commit reaches no disk", r.machine.filesystem)
	}
	if o.answers > 0 {
		if r.answers, err = runAnswers(ctx, o, dir, talk); err != nil {
			return nil, err
		}
	}
	if o.onlyAnswers() {
		return r, nil
	}
	return r, r.runSpans(ctx, o, dir, talk)
}

// runSpans measures what a span costs.
func (r *report) runSpans(ctx context.Context, o options, dir string, talk io.Writer) error {
	// The traffic is that of now: a bucket that settled long ago could be
	// treated differently.
	start := time.Now().Truncate(time.Hour)
	for _, profile := range profiles {
		s, err := newStage(o, profile, start)
		if err != nil {
			return err
		}
		results, err := runProfile(ctx, o, s, dir, talk)
		if err != nil {
			return fmt.Errorf("profile %s: %w", profile.Name, err)
		}
		r.results = append(r.results, results...)
	}
	if o.growth > 0 {
		for _, profile := range profiles {
			g, err := runGrowth(ctx, o, profile, start, dir, talk)
			if err != nil {
				return fmt.Errorf("growth, profile %s: %w", profile.Name, err)
			}
			r.growth = append(r.growth, g)
		}
	}
	if o.volume > 0 {
		for _, profile := range profiles {
			v, err := runVolume(ctx, o, profile, start, dir, talk)
			if err != nil {
				return fmt.Errorf("bytes, profile %s: %w", profile.Name, err)
			}
			r.volumes = append(r.volumes, v...)
		}
		var err error
		if r.sizes, err = runSizes(ctx, o, start, dir, talk); err != nil {
			return err
		}
	}
	return nil
}

func runProfile(ctx context.Context, o options, s *stage, dir string, talk io.Writer) (_ []result, err error) {
	contestants, err := enter(ctx, o, dir)
	defer func() {
		for _, c := range contestants {
			err = errors.Join(err, c.subject.close())
		}
	}()
	if err != nil {
		return nil, err
	}
	for _, c := range contestants {
		if _, err := s.measure(ctx, c, o.warm*c.callers); err != nil {
			return nil, err
		}
	}
	for round := range o.rounds {
		fmt.Fprintf(talk, "%s: round %d of %d\n", s.profile.Name, round+1, o.rounds)
		for i := range contestants {
			c := contestants[(i+round)%len(contestants)]
			found, err := s.measure(ctx, c, o.batches(c.callers))
			if err != nil {
				return nil, err
			}
			c.costs = append(c.costs, found)
		}
	}
	return collect(contestants, s.profile.Name)
}

func enter(ctx context.Context, o options, dir string) ([]*contestant, error) {
	chosen, err := selected(o.rows)
	if err != nil {
		return nil, err
	}
	var contestants []*contestant
	for _, r := range chosen {
		subject, err := r.build(ctx, dir)
		if err != nil {
			return contestants, fmt.Errorf("row %s: %w", r.key, err)
		}
		contestants = append(contestants, &contestant{row: r, subject: subject})
	}
	return contestants, nil
}

func collect(contestants []*contestant, profile string) (results []result, err error) {
	byKey := map[string]*contestant{}
	for _, c := range contestants {
		byKey[c.key] = c
	}
	for _, c := range contestants {
		found := result{row: c.row, profile: profile, costs: c.costs}
		if s, ok := c.subject.(*inFolder); ok {
			if found.kept, err = s.keptShare(); err != nil {
				return nil, fmt.Errorf("row %s: %w", c.key, err)
			}
		}
		if peer := byKey[c.peer]; peer != nil {
			found.peers = peer.costs
		}
		results = append(results, found)
	}
	return results, nil
}
