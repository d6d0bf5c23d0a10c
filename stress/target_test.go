package stress_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/stress"
)

// strict is a target in front of a fake model: it knows one model, and its key.
type strict struct {
	key, model, embedder string
	refused              atomic.Int64
	keyed                atomic.Int64 // requests with any
	behind               http.Handler
}

func (s *strict) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	said := r.Header.Get("Authorization")
	if said != "" {
		s.keyed.Add(1)
	}
	body, _ := io.ReadAll(r.Body)
	var asked struct{ Model string }
	_ = json.Unmarshal(body, &asked)
	want := s.model
	if strings.HasSuffix(r.URL.Path, "/embeddings") {
		want = s.embedder
	}
	switch {
	case s.key != "" && said != "Bearer "+s.key:
		s.refused.Add(1)
		http.Error(w, `{"error":{"message":"Incorrect API key: `+said+`"}}`, http.StatusUnauthorized)
	case asked.Model != want:
		s.refused.Add(1)
		http.Error(w, `{"error":{"message":"no such model"}}`, http.StatusNotFound)
	default:
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		s.behind.ServeHTTP(w, r)
	}
}

// TestATargetIsAskedForItsOwnModels only: for embeddings where one is named, and
// else for none.
func TestATargetIsAskedForItsOwnModels(t *testing.T) {
	for _, embedder := range []string{"", "mine-embedding"} {
		w := newWorld(t, fakellm.Config{})
		target := &strict{model: "mine", embedder: embedder, behind: w.server}
		l := w.loadOn(t, target, stress.Config{
			Profile: stress.Profile{Users: 20, SpawnRate: 10_000}, MaxRequests: 300, Seed: 2, Models: []string{"mine"}, EmbeddingModel: embedder,
		})
		saw := l.Tally().Counts()
		require.Zero(t, target.refused.Load())
		require.Equal(t, map[stress.Outcome]int64{stress.Success: saw.Calls}, saw.Outcomes)
		require.Zero(t, target.keyed.Load(), "nobody named a key")
		asked := counts(t, w.close(t), `SELECT model, sum(requests) FROM latency WHERE width_s = 10 AND category IN ('llm', 'embedding') GROUP BY 1`)
		if embedder == "" {
			require.Equal(t, map[string]int64{"mine": saw.Calls}, asked)
		} else {
			require.Len(t, asked, 2)
			require.Positive(t, asked[embedder])
		}
	}
}

// TestTheKeyIsForTheTargetOnly: it is sent with every request, and stands in no
// file, though the target repeats it wherever it can.
func TestTheKeyIsForTheTargetOnly(t *testing.T) {
	const key = "sk-canary-7f3a9c"
	w := newWorld(t, fakellm.Config{Preset: fakellm.Preset{PerMillion: [fakellm.NumFaults]int{fakellm.Reset: 100_000, fakellm.InternalError: 100_000, fakellm.InvalidJSON: 100_000}}})
	target := &strict{key: key, model: "mine", embedder: "mine", behind: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/embeddings") {
			rw.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(rw, `{"id":"`+key+`","model":"of `+key+`","data":[{}],"choices":[{"finish_reason":"`+key+`"}]}`)
			return
		}
		w.server.ServeHTTP(rw, r)
	})}
	l := w.loadOn(t, target, stress.Config{
		Profile: stress.Profile{Users: 20, SpawnRate: 10_000}, MaxRequests: 400, Seed: 2, Models: []string{"mine"}, EmbeddingModel: "mine", Key: key,
		Cooldown: time.Millisecond, MaxPause: time.Millisecond,
	})
	saw := l.Tally().Counts()
	require.Zero(t, target.refused.Load())
	require.Equal(t, saw.Attempts, target.keyed.Load())
	require.Positive(t, saw.Outcomes[stress.Success])
	require.Greater(t, len(saw.Outcomes), 1, "errors are told as well")
	requireNowhere(t, w, key)
}

// TestAWrongKeyIsNotTold: the target refuses it, and repeats it.
func TestAWrongKeyIsNotTold(t *testing.T) {
	const key = "sk-canary-wrong"
	w := newWorld(t, fakellm.Config{})
	target := &strict{key: "sk-another", model: "mine", behind: w.server}
	l := w.loadOn(t, target, stress.Config{
		Profile: stress.Profile{Users: 2, SpawnRate: 10_000}, MaxRequests: 20, Models: []string{"mine"}, Key: key,
	})
	saw := l.Tally().Counts()
	require.Equal(t, map[stress.Outcome]int64{stress.ClientError: saw.Calls}, saw.Outcomes)
	requireNowhere(t, w, key)
}

// requireNowhere: a text stands in none of the files that were written.
func requireNowhere(t *testing.T, w *world, text string) {
	t.Helper()
	require.NoError(t, w.close(t).Ping())
	files, err := filepath.Glob(w.path + "*")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		all, err := os.ReadFile(f)
		require.NoError(t, err)
		require.NotContains(t, string(all), text, f)
	}
}

// TestRedirectionsAreNotFollowed: neither the key nor a request goes anywhere
// but to the target, not even where that is the same host.
func TestRedirectionsAreNotFollowed(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)
	there, err := url.Parse(other.URL)
	require.NoError(t, err)
	for _, to := range []string{other.URL + "/v1/chat/completions", "http://localhost:" + there.Port() + "/", "/v1/elsewhere"} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			w := newWorld(t, fakellm.Config{})
			var asked atomic.Int64
			l := w.loadOn(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				http.Redirect(rw, r, to, status)
			}), stress.Config{Profile: stress.Profile{Users: 1, SpawnRate: 10_000}, MaxRequests: 1, Key: "hush"})
			saw := l.Tally().Counts()
			require.Equal(t, map[stress.Outcome]int64{stress.Malformed: 1}, saw.Outcomes)
			require.EqualValues(t, 1, asked.Load())
			require.Equal(t, map[string]int64{"malformed": 1}, counts(t, w.close(t), `SELECT outcome, sum(requests) FROM latency
				WHERE width_s = 10 AND category = 'llm' GROUP BY 1`))
		}
	}
	require.Zero(t, elsewhere.Load())
}
