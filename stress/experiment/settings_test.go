package experiment

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/stress"
)

// TestTheFileIsToldWhatARunDoes: everything that has an effect in its mode, and
// nothing else.
func TestTheFileIsToldWhatARunDoes(t *testing.T) {
	target := &url.URL{Scheme: "https", User: url.UserPassword("me", "hush"), Host: "api.example.com:8443", Path: "/base", RawQuery: "key=hush"}
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"closed": {Config{Mode: stress.ModeLoad, Think: 0.5},
			`{"duration_s":90,"loop":"closed","mode":"load","preset":"gentle","profile":"mine","seed":7,"spawn_rate":2.5,"think":0.5,"users":20}`},
		"open": {Config{Mode: stress.ModeFull, Rate: 50, Think: 1},
			`{"duration_s":90,"loop":"open","mode":"full","preset":"gentle","profile":"mine","rate":50,"seed":7,"users":20}`},
		"quick": {Config{Mode: stress.ModeQuick, Think: 1},
			`{"loop":"closed","mode":"quick","preset":"gentle","requests":3,"seed":7,"users":1}`},
		"chaos": {Config{Mode: stress.ModeChaos, Think: 1}, `{"mode":"chaos","preset":"gentle","seed":7}`},
		"a target": {Config{Mode: stress.ModeChaos, Target: target, Model: "llama"},
			`{"mode":"chaos","model":"llama","seed":7,"target":"https://api.example.com:8443/base"}`},
		"embeddings": {Config{Mode: stress.ModeQuick, Target: target, Model: "llama", EmbeddingModel: "e", Key: "hush"},
			`{"embedding_model":"e","loop":"closed","mode":"quick","model":"llama","requests":3,"seed":7,"target":"https://api.example.com:8443/base","users":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Profile = stress.Profile{Name: "mine", Users: 20, SpawnRate: 2.5, Duration: 90 * time.Second}
			c.config.Preset.Name, c.config.Seed = "gentle", 7
			require.Equal(t, c.want, text(c.config.settings()))
			said := map[string]string{}
			for _, kv := range describe(&c.config) {
				said[string(kv.Key)] = kv.Value.AsString()
			}
			require.Equal(t, c.want, said["chaos.config"])
			var settings map[string]any
			require.NoError(t, json.Unmarshal([]byte(c.want), &settings))
			for attribute, key := range map[string]string{"chaos.mode": "mode", "chaos.preset": "preset", "chaos.profile": "profile"} {
				value, _ := settings[key].(string)
				require.Equal(t, value, said[attribute], attribute)
			}
			// Of several texts a file keeps the lowest.
			after := text(c.config.started(&stress.Counts{Delayed: 3, Dropped: 2}))
			require.Equal(t, `{"delayed_starts":3,"dropped_starts":2,`+c.want[1:], after)
			require.Less(t, after, c.want)
		})
	}
}

// TestAnOpenLoadTellsHowItsCallsBegan, in a span as long as the load; a closed
// one has nothing to tell.
func TestAnOpenLoadTellsHowItsCallsBegan(t *testing.T) {
	// One call at a time, and the first is held for a second: the others are late.
	var held, looked sync.Once
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		held.Do(func() { <-release })
	}))
	defer s.Close()
	target, err := url.Parse(s.URL)
	require.NoError(t, err)
	for _, rate := range []float64{100, 0} {
		sink := newSink(t)
		result, err := Run(t.Context(), Config{
			Mode: stress.ModeLoad, Profile: stress.Profile{Name: "mine", Users: 1, SpawnRate: 100, Duration: 1200 * time.Millisecond}, Rate: rate,
			Progress: func(Progress) { looked.Do(func() { close(release) }) },
			Target:   target, OTLP: sink.endpoint, Insecure: true, RunID: "r", Preset: fakellm.Presets[0],
		})
		require.NoError(t, err)
		told := sink.named("stress-clients", "load")
		if rate == 0 {
			require.Empty(t, told)
			continue
		}
		require.Len(t, told, 1)
		require.Equal(t, []uint64{uint64(result.Began.UnixNano()), uint64(result.Ended.UnixNano())}, []uint64{told[0].start, told[0].end})
		var said struct {
			Delayed int64 `json:"delayed_starts"`
			Dropped int64 `json:"dropped_starts"`
			Loop    string
		}
		require.NoError(t, json.Unmarshal([]byte(told[0].texts["chaos.config"]), &said))
		counts := result.Load.Counts()
		require.Positive(t, counts.Delayed+counts.Dropped)
		require.Equal(t, []any{"open", counts.Delayed, counts.Dropped}, []any{said.Loop, said.Delayed, said.Dropped})
	}
}
