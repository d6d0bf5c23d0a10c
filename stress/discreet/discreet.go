// Package discreet keeps the key of an API out of errors.
package discreet

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Transport sees to it that errors do not repeat a key: they quote what a server
// says that cannot be read, and spans and results quote them.
type Transport struct {
	// RoundTripper sends the requests; it must not be nil.
	http.RoundTripper
	Key string // empty: none
}

// RoundTrip sends r. Neither its error, nor one of reading the answer, has the
// key in it.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.RoundTripper.RoundTrip(r)
	if err != nil || t.Key == "" {
		return answer, withoutKey(err, t.Key)
	}
	answer.Body = body{answer.Body, t.Key}
	return answer, nil
}

type body struct {
	io.ReadCloser
	key string
}

func (b body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	return n, withoutKey(err, b.key)
}

// errRepeated stands for an error that repeats a key.
var errRepeated = errors.New("an answer that cannot be read repeats the key")

func withoutKey(err error, key string) error {
	if err == nil || key == "" {
		return err
	}
	quoted := strconv.Quote(key)
	if text := err.Error(); strings.Contains(text, key) || strings.Contains(text, quoted[1:len(quoted)-1]) {
		return errRepeated
	}
	return err
}
