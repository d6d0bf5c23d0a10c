package reliabilitytest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// child is a process that a test started. It dies with the test: the end of its
// standard input is the end of it.
type child struct {
	t       *testing.T
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	stderr  bytes.Buffer
	ended   chan struct{} // closed when it has ended and all it said was heard
	killing sync.Once

	mu    sync.Mutex
	said  map[string]chan struct{} // closed once the line was heard
	state error                    // how it ended
}

// spawn starts a child in a role. Its first line of input is order as JSON;
// heard is called with every line it prints, in order and in one goroutine.
func spawn(t *testing.T, role string, order any, heard func(line string)) *child {
	t.Helper()
	c, err := tryToSpawn(t, role, order, heard, nil)
	require.NoError(t, err)
	return c
}

// tryToSpawn is spawn with attributes of the process that the system may refuse.
func tryToSpawn(t *testing.T, role string, order any, heard func(string), attributes *syscall.SysProcAttr) (*child, error) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	c := &child{t: t, cmd: exec.Command(program), ended: make(chan struct{}), said: map[string]chan struct{}{}}
	c.cmd.Env = append(os.Environ(), roleVariable+"="+role)
	c.cmd.Stderr = &c.stderr
	c.cmd.SysProcAttr = attributes
	c.stdin, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(c.kill)
	go func() {
		defer close(c.ended)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if heard != nil {
				heard(lines.Text())
			}
			c.hear(lines.Text())
		}
		c.state = c.cmd.Wait()
	}()
	text, err := json.Marshal(order)
	require.NoError(t, err)
	c.tell(string(text))
	return c, nil
}

func (c *child) line(text string) chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.said[text] == nil {
		c.said[text] = make(chan struct{})
	}
	return c.said[text]
}

func (c *child) hear(text string) {
	heard := c.line(text)
	select {
	case <-heard:
	default:
		close(heard)
	}
}

// tell sends a line. A child that has gone hears nothing.
func (c *child) tell(line string) { _, _ = io.WriteString(c.stdin, line+"\n") }

// await waits until the child has said a line.
func (c *child) await(line string, most time.Duration) {
	c.t.Helper()
	select {
	case <-c.line(line):
	case <-c.ended:
		select {
		case <-c.line(line):
		default:
			c.t.Fatalf("child ended before it said %q: %v\n%s", line, c.state, c.stderr.String())
		}
	case <-time.After(most):
		c.t.Fatalf("child did not say %q within %v", line, most)
	}
}

// kill is SIGKILL. It returns when all the child had said was heard.
func (c *child) kill() {
	c.killing.Do(func() { _ = c.cmd.Process.Kill() }) // an error means that it has ended
	<-c.ended
	_ = c.stdin.Close()
}

// stop asks the child to end and waits until it has.
func (c *child) stop(most time.Duration) {
	c.t.Helper()
	c.tell(stopOrder)
	select {
	case <-c.ended:
	case <-time.After(most):
		c.t.Fatalf("child did not end within %v", most)
	}
	require.NoError(c.t, c.state, c.stderr.String())
}

const stopOrder = "stop"

// orders is a child's side of the conversation.
type orders struct {
	first   chan []byte
	stopped chan struct{} // closed by the order to stop
}

// listen reads what the parent says. When the parent has gone, so is the child.
func listen(from io.Reader) *orders {
	o := &orders{first: make(chan []byte, 1), stopped: make(chan struct{})}
	go func() {
		lines := bufio.NewScanner(from)
		lines.Buffer(nil, 1<<24)
		for first := true; lines.Scan(); first = false {
			switch {
			case first:
				o.first <- bytes.Clone(lines.Bytes())
			case lines.Text() == stopOrder:
				close(o.stopped)
			}
		}
		os.Exit(3)
	}()
	return o
}

// read decodes the first order.
func (o *orders) read(into any) error { return json.Unmarshal(<-o.first, into) }

// say prints a line in one write, so that it is heard whole or not at all, even
// if the child is killed right after.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stdout, format+"\n", args...)
}
