package fakellm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// requestError is what a request without a fault is refused with.
type requestError struct {
	status              int
	kind, code, message string
}

func (e *requestError) write(w http.ResponseWriter) {
	writeError(w, e.status, e.kind, e.code, e.message)
}

func invalid(format string, args ...any) *requestError {
	return &requestError{http.StatusBadRequest, "invalid_request_error", "invalid_value", fmt.Sprintf(format, args...)}
}

// writeError writes an error as OpenAI does.
func writeError(w http.ResponseWriter, status int, kind, code, message string) {
	writeJSON(w, status, map[string]any{"error": map[string]any{
		"message": message, "type": kind, "param": nil, "code": code,
	}})
}

// writeJSON writes an answer; where the client has left nobody is to be told.
func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // maps and slices of plain values
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// read reads the body of a request.
func (s *Server) read(w http.ResponseWriter, r *http.Request) ([]byte, *requestError) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.config.MaxBodyBytes))
	var tooLarge *http.MaxBytesError
	if err != nil && !errors.As(err, &tooLarge) {
		s.truth.refused()
		panic(http.ErrAbortHandler) // the client has left
	}
	if err != nil {
		return nil, &requestError{
			http.StatusRequestEntityTooLarge, "invalid_request_error", "request_too_large",
			fmt.Sprintf("the request must not be larger than %d bytes", s.config.MaxBodyBytes),
		}
	}
	return body, nil
}

// texts are what the faults with a status say: type, code and message.
var texts = map[Fault][3]string{
	RateLimited:    {"rate_limit_error", "rate_limit_exceeded", "Rate limit reached. Please try again later."},
	Overloaded:     {"overloaded_error", "overloaded", "The model is overloaded. Please try again later."},
	Unavailable:    {"server_error", "service_unavailable", "The service is unavailable."},
	InternalError:  {"server_error", "internal_error", "The server had an error while processing your request."},
	BadGateway:     {"server_error", "bad_gateway", "Bad gateway."},
	GatewayTimeout: {"server_error", "gateway_timeout", "The gateway timed out."},
	Forbidden:      {"permission_error", "forbidden", "This key may not use the model."},
	NotFound:       {"invalid_request_error", "model_not_found", "The model does not exist."},
}

// refuse answers with the error that a fault stands for.
func (s *Server) refuse(w http.ResponseWriter, f Fault) {
	if after := s.config.RetryAfter; after > 0 && (f == RateLimited || f == Overloaded || f == Unavailable) {
		// Whole seconds for everybody, milliseconds for who knows them.
		w.Header().Set("Retry-After", strconv.FormatInt(int64((after+time.Second-1)/time.Second), 10))
		w.Header().Set("Retry-After-Ms", strconv.FormatInt(after.Milliseconds(), 10))
	}
	text := texts[f]
	writeError(w, f.Status(), text[0], text[1], text[2])
}
