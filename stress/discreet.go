package stress

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// discreet sees to it that errors do not repeat a key: they quote what a server
// says that cannot be read, and spans and results quote them.
type discreet struct {
	http.RoundTripper
	key string // empty: none
}

func (d discreet) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := d.RoundTripper.RoundTrip(r)
	if err != nil || d.key == "" {
		return answer, withoutKey(err, d.key)
	}
	answer.Body = discreetBody{answer.Body, d.key}
	return answer, nil
}

type discreetBody struct {
	io.ReadCloser
	key string
}

func (b discreetBody) Read(p []byte) (int, error) {
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
