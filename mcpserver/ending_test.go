package mcpserver_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheEndOfInputLosesNoAnswer: a client that has asked everything and closes
// its side is answered all the same.
func TestTheEndOfInputLosesNoAnswer(t *testing.T) {
	program, err := build()
	require.NoError(t, err)
	path := makeFile(t)
	const calls = 30
	in := `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}` + "\n" +
		`{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n"
	for id := 1; id <= calls; id++ {
		in += fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"diagnose","arguments":{}}}`, id) + "\n"
	}
	for range 3 {
		command := exec.Command(program, "mcp", "--db", path)
		command.Stdin = strings.NewReader(in)
		out, err := command.Output()
		require.NoError(t, err)
		for id := 0; id <= calls; id++ {
			require.Contains(t, string(out), fmt.Sprintf(`"id":%d,`, id))
		}
	}
}
