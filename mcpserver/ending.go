package mcpserver

import (
	"context"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// answering is a transport whose end is told only when every call that came
// before it is answered: a client that closes its side may still be reading.
type answering struct{ mcp.Transport }

func (t answering) Connect(ctx context.Context) (mcp.Connection, error) {
	c, err := t.Transport.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &answeringConn{Connection: c, done: make(chan struct{}, 1)}, nil
}

type answeringConn struct {
	mcp.Connection
	mu   sync.Mutex
	open int           // calls without an answer
	done chan struct{} // told when there is none
}

// lastAnswers is how long the end waits for them.
const lastAnswers = 10 * time.Second

func (c *answeringConn) Read(ctx context.Context) (jsonrpc.Message, error) {
	m, err := c.Connection.Read(ctx)
	if err != nil {
		c.await(ctx)
		return nil, err
	}
	if r, ok := m.(*jsonrpc.Request); ok && r.IsCall() {
		c.count(1)
	}
	return m, nil
}

func (c *answeringConn) Write(ctx context.Context, m jsonrpc.Message) error {
	err := c.Connection.Write(ctx, m)
	if _, ok := m.(*jsonrpc.Response); ok {
		c.count(-1)
	}
	return err
}

func (c *answeringConn) count(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open += n; c.open <= 0 {
		select {
		case c.done <- struct{}{}:
		default:
		}
	}
}

// await waits until no call is open.
func (c *answeringConn) await(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastAnswers)
	defer cancel()
	for {
		c.mu.Lock()
		open := c.open
		c.mu.Unlock()
		if open <= 0 {
			return
		}
		select {
		case <-c.done:
		case <-ctx.Done():
			return
		}
	}
}
