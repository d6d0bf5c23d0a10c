package discreet_test

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/stress/discreet"
)

const key = `sk-"quoted"`

// server fails a request with one error, and the reading of its answer with
// another.
type server struct{ request, answer error }

func (s server) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{Body: io.NopCloser(s)}, s.request
}

func (s server) Read([]byte) (int, error) { return 0, s.answer }

func TestErrorsDoNotRepeatTheKey(t *testing.T) {
	for said, discreetly := range map[string]bool{
		"malformed status line: " + key:         true,
		`malformed status line "sk-\"quoted\""`: true,
		"connection reset":                      false,
	} {
		err := errors.New(said)
		_, got := discreet.Transport{RoundTripper: server{request: err}, Key: key}.RoundTrip(nil)
		answer, none := discreet.Transport{RoundTripper: server{answer: err}, Key: key}.RoundTrip(nil)
		require.NoError(t, none)
		_, read := answer.Body.Read(nil)
		for _, e := range []error{got, read} {
			require.Error(t, e)
			require.Equal(t, discreetly, !errors.Is(e, err), said)
			require.NotContains(t, e.Error(), "quoted")
		}
		_, got = discreet.Transport{RoundTripper: server{request: err}}.RoundTrip(nil)
		require.ErrorIs(t, got, err, "there is no key")
	}
}
