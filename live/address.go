package live

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// ErrAddress is returned for an address that cannot be listened on, or not
// without a token.
var ErrAddress = errors.New("cannot be listened on")

// MinTokenBytes is how long a token is at least.
const MinTokenBytes = 16

// CheckAddress checks an address such as 127.0.0.1:8470 together with the token
// that is asked for there; "" is none.
func CheckAddress(address, token string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q: must be HOST:PORT, such as 127.0.0.1:8470: %w", address, ErrAddress)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q: the port must be 0 to 65535: %w", address, ErrAddress)
	}
	if token == "" && !isLoopback(host) {
		return fmt.Errorf("%q: without a token only a loopback address (127.0.0.1, [::1], localhost) is listened on: %w", address, ErrAddress)
	}
	return checkToken(token)
}

func checkToken(token string) error {
	if token == "" {
		return nil
	}
	if len(token) < MinTokenBytes {
		return fmt.Errorf("token of %d bytes: must have %d at least: %w", len(token), MinTokenBytes, ErrAddress)
	}
	for _, c := range []byte(token) {
		if c <= ' ' || c > '~' {
			return fmt.Errorf("token: must be printable ASCII without spaces: %w", ErrAddress)
		}
	}
	return nil
}

// isLoopback tells whether a host is this machine, whatever a name server says.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// namesLoopback tells it of the Host header of a request.
func namesLoopback(header string) bool {
	host, _, err := net.SplitHostPort(header)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(header, "["), "]")
	}
	return isLoopback(host)
}
