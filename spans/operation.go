package spans

import "strings"

// operation names what a span does that names no GenAI operation: the MCP
// method, else HTTP method and route (never a raw path), else the RPC method,
// else database operation and collection, else messaging operation and
// destination, else the span name.
func (w *walker) operation(spanName string) string {
	r := &w.span
	if method := w.text(r, fieldMCPMethod); method != "" {
		return method
	}
	if method := w.text(r, fieldHTTPMethod); method != "" {
		return w.join(method, ' ', w.text(r, fieldHTTPRoute))
	}
	if method := w.text(r, fieldRPCMethod); method != "" {
		if strings.Contains(method, "/") { // newer conventions: with the service in front
			return method
		}
		if service := w.text(r, fieldRPCService); service != "" {
			return w.join(service, '/', method)
		}
		return method
	}
	if operation := w.text(r, fieldDBOperation); operation != "" {
		return w.join(operation, ' ', w.text(r, fieldDBCollection))
	}
	if operation := w.text(r, fieldMessagingOperation); operation != "" {
		return w.join(operation, ' ', w.destination())
	}
	return spanName
}

// destination names where a message goes. Anonymous and temporary queues have
// names without end.
func (w *walker) destination() string {
	if w.span.has(fieldMessagingAnonymous) && w.text(&w.span, fieldMessagingAnonymous) == "true" {
		return "(anonymous)"
	}
	return w.text(&w.span, fieldMessagingDestination)
}

// maxJoined bounds the memory of joined names; with more distinct ones in a
// batch they are simply built anew.
const maxJoined = 4096

// join returns a, the separator and b, or a alone where b is empty. It
// remembers what it built: the same few names come in every batch.
func (w *walker) join(a string, separator byte, b string) string {
	if b == "" {
		return a
	}
	w.scratch = append(append(append(w.scratch[:0], a...), separator), b...)
	if joined, ok := w.joined[string(w.scratch)]; ok {
		return joined
	}
	joined := string(w.scratch)
	if len(w.joined) < maxJoined && len(joined) <= maxRemembered {
		w.joined[joined] = joined
	}
	return joined
}

// maxRemembered is the length in bytes above which a name is not remembered.
const maxRemembered = 512
