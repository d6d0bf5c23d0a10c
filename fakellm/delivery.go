package fakellm

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// delivery is how an answer is written.
type delivery struct {
	w          http.ResponseWriter
	ctx        context.Context
	fault      Fault
	tokenEvery time.Duration
}

// whole writes an answer in one piece after the time that its further tokens
// take, or what a fault makes of it.
func (d *delivery) whole(body any, tokens int) error {
	if err := wait(d.ctx, time.Duration(tokens)*d.tokenEvery); err != nil {
		return err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	kind, length := "application/json", len(text)
	switch d.fault {
	case InvalidJSON:
		text = append(text[:len(text)/2:len(text)/2], "] <oops>"...)
		length = len(text)
	case Truncated:
		text = text[:len(text)/2] // shorter than announced
	case EmptyBody:
		text, length = nil, 0
	case MissingFields:
		text = []byte(`{"id":"chatcmpl-0","object":"unknown"}`)
		length = len(text)
	case WrongContentType:
		kind, text = "text/html", []byte("<!doctype html><title>Welcome</title>")
		length = len(text)
	}
	d.w.Header().Set("Content-Type", kind)
	d.w.Header().Set("Content-Length", strconv.Itoa(length))
	d.w.WriteHeader(http.StatusOK)
	if _, err := d.w.Write(text); err != nil {
		return err
	}
	if len(text) == length {
		return nil
	}
	// What there is must be on its way before the connection is cut.
	if err := http.NewResponseController(d.w).Flush(); err != nil {
		return err
	}
	return errTruncated
}

// stream writes chunks as server-sent events, the first at once, and flushes
// each, or what a fault makes of them.
func (d *delivery) stream(chunks []any) error {
	if d.fault == EmptyBody || d.fault == WrongContentType || d.fault == MissingFields {
		return d.whole(nil, 0)
	}
	control := http.NewResponseController(d.w)
	d.w.Header().Set("Content-Type", "text/event-stream")
	d.w.WriteHeader(http.StatusOK)
	for i, chunk := range chunks {
		if i > 0 {
			if err := wait(d.ctx, d.tokenEvery); err != nil {
				return err
			}
		}
		text, err := json.Marshal(chunk)
		if err != nil {
			return err
		}
		if i == len(chunks)/2 && d.fault == InvalidJSON {
			text = text[:len(text)/2]
		}
		if i == len(chunks)/2 && d.fault == Truncated {
			return errTruncated
		}
		if _, err := d.w.Write(append(append([]byte("data: "), text...), "\n\n"...)); err != nil {
			return err
		}
		if err := control.Flush(); err != nil {
			return err
		}
	}
	_, err := d.w.Write([]byte("data: [DONE]\n\n"))
	return err
}
