package experiment

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"

	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/stress"
)

// faults are those of a model that phases turn on and off.
type faults struct {
	mu   sync.Mutex
	on   bool
	ons  int // how often they were turned on
	told [][2]time.Time
}

func (f *faults) turn(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.on = on; on {
		f.ons++
	}
}

func (f *faults) tell(from, to time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, [2]time.Time{from, to})
}

// TestNoFaultIsLeftUntold, whenever the load ends: before its timers fire, at the
// same time, or after.
func TestNoFaultIsLeftUntold(t *testing.T) {
	for n := range 5000 {
		var f faults
		p := &phases{turn: f.turn, tell: f.tell, phase: baseline}
		var all sync.WaitGroup
		for _, step := range []func(){p.inject, p.relent, p.end, func() { p.current() }} {
			all.Go(step)
		}
		all.Wait()
		p.inject() // the timer was faster than what stops it
		require.False(t, f.on, n)
		require.Len(t, f.told, f.ons, n)
	}
}

// TestTheOrderOfPhases, and that a load may end in each of them.
func TestTheOrderOfPhases(t *testing.T) {
	for ends, want := range map[string]struct {
		told  int
		phase string
	}{baseline: {0, baseline}, faulty: {1, after}, after: {1, after}} {
		var f faults
		p := &phases{turn: f.turn, tell: f.tell, phase: baseline}
		if ends != baseline {
			p.inject()
			require.True(t, f.on)
			require.Equal(t, faulty, p.current())
		}
		if ends == after {
			p.relent()
			require.False(t, f.on)
			require.Equal(t, after, p.current())
		}
		p.end()
		p.relent()
		require.False(t, f.on)
		require.Equal(t, want.phase, p.current())
		require.Len(t, f.told, want.told)
		for _, interval := range f.told {
			require.False(t, interval[1].Before(interval[0]))
		}
	}
	none := &phases{}
	none.end()
	require.Empty(t, none.current())
}

// TestTheInjectorTellsWhenThereWereFaults: the middle of a full run, all of another
// load, nothing where the preset has none or the API is somebody else's.
func TestTheInjectorTellsWhenThereWereFaults(t *testing.T) {
	preset, err := fakellm.ParsePreset("gentle")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		mode   stress.Mode
		preset fakellm.Preset
		target bool
		spans  int
		whole  bool // from the beginning to the end of the load
	}{
		"a load":            {stress.ModeLoad, preset, false, 1, true},
		"a load, no faults": {stress.ModeLoad, fakellm.Presets[0], false, 0, false},
		"a full run":        {stress.ModeFull, preset, false, 1, false},
		"full, no faults":   {stress.ModeFull, fakellm.Presets[0], false, 0, false},
		"three requests":    {stress.ModeQuick, preset, false, 0, false},
		"somebody else's":   {stress.ModeLoad, preset, true, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			sink := newSink(t)
			telemetry, err := newTelemetry(t.Context(), &Config{Insecure: true}, sink.endpoint)
			require.NoError(t, err)
			m := &model{preset: c.preset.Name, server: fakellm.New(fakellm.Config{Preset: c.preset})}
			if c.target {
				m = &model{}
			}
			// The timers of a full run: the first fires at once, the second never.
			config := &Config{Mode: c.mode, Preset: c.preset, Profile: stress.Profile{Duration: 30 * time.Hour}}
			began := time.Now()
			if c.mode == stress.ModeFull {
				began = began.Add(-15 * time.Hour)
			}
			phases := config.newPhases(m, telemetry, began)
			if c.mode == stress.ModeFull && c.spans > 0 {
				require.Eventually(t, func() bool { return phases.current() == faulty }, time.Minute, time.Millisecond)
			}
			phases.end()
			ended := time.Now()
			require.NoError(t, telemetry.close(t.Context()))
			told := sink.named("fault-injector", "inject "+c.preset.Name)
			require.Len(t, told, c.spans)
			for _, span := range told {
				require.Equal(t, c.whole, span.start == uint64(began.UnixNano()))
				require.LessOrEqual(t, span.end, uint64(ended.UnixNano()))
				require.Equal(t, []string{"injector", "gentle", "gentle", "fake-llm"}, []string{
					span.texts["chaos.role"], span.texts["chaos.fault.type"], span.texts["chaos.experiment.id"], span.texts["chaos.target"],
				})
			}
		})
	}
}

// handler keeps errors.
type handler struct{ all []string }

func (h *handler) Handle(err error) { h.all = append(h.all, err.Error()) }

// TestErrorsOfOpenTelemetryGoWhereTheyWentBefore, once an experiment has ended.
func TestErrorsOfOpenTelemetryGoWhereTheyWentBefore(t *testing.T) {
	before, mine := otel.GetErrorHandler(), &handler{}
	defer otel.SetErrorHandler(before)
	otel.SetErrorHandler(mine)
	telemetry, err := newTelemetry(t.Context(), &Config{Insecure: true}, newSink(t).endpoint)
	require.NoError(t, err)
	otel.Handle(errors.New("during"))
	require.EqualError(t, telemetry.close(t.Context()), "during")
	otel.Handle(errors.New("after"))
	require.Equal(t, []string{"after"}, mine.all)
}
