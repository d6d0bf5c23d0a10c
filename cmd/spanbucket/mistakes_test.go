package main

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// A mistake is told in the words of the command line: which flag or verb, what was
// said, and what would have been right.
func TestMistakesAreToldInTheWordsOfTheCommandLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"stat", "--db", "x"}, `"stat" is no verb; did you mean stats?`},
		{[]string{"--db", "x", "stat"}, `"stat" is no verb; did you mean stats?`},
		{[]string{"--db=x", "stat"}, `"stat" is no verb; did you mean stats?`},
		{[]string{"stat"}, `"stat" is no verb; did you mean stats?`},
		{[]string{"conquer", "--db", "x"}, `"conquer" is no verb; spanbucket --help lists them`},
		{[]string{"sl", "--db", "x"}, `"sl" is no verb; did you mean slo or slow?`},
		{[]string{"--frobnicate"}, "unknown flag: --frobnicate"},
		{[]string{"deadletters", "--db", "x"}, "deadletters: must be followed by list, export, retry or purge"},
		{[]string{"deadletters", "lst", "--db", "x"}, `deadletters: "lst" is no verb; did you mean list?`},
		{[]string{"deadletters", "list", "--fast", "--db", "x"}, "unknown flag: --fast"},
		{[]string{"faults", "imprt", "--db", "x"}, `faults: "imprt" is no verb; did you mean import?`},
		{[]string{"stats", "x.db"}, `stats: unexpected argument "x.db"; the file is given with --db`},
		{[]string{"stats", "y.db", "--db", "x"}, `stats: unexpected argument "y.db"`},
		{[]string{"slow", "--threshold", "5"}, `--threshold "5": must be a time with its unit, such as 500ms, 30s or 2m`},
		{[]string{"slow", "--limit", "x"}, `--limit "x": must be a whole number`},
		{[]string{"slow", "--limit", "99999999999999999999"}, `--limit "99999999999999999999": is too large`},
		{[]string{"compare", "--seed", "-1"}, `--seed "-1": must be a whole number of 0 or more`},
		{[]string{"bursts", "--start-share", "half"}, `--start-share "half": must be a number`},
		{[]string{"stats", "--include-open=maybe"}, `--include-open "maybe": must be true or false`},
		{[]string{"stats", "--category", `"a`}, `--category "\"a": must be values separated by commas, a quoted one with both its quotes`},
		{[]string{"check", "--db", "x", "--p99", "2s"}, `--p99 "2s": must be a number of 0 or more in milliseconds, like 800 or 0.5`},
		{[]string{"check", "--db", "x", "--min-rps", "fast"}, `--min-rps "fast": must be a number of 0 or more per second, like 800 or 0.5`},
		{[]string{"check", "--db", "x", "--circuit-trips", "-1"}, `--circuit-trips "-1": must be a number of 0 or more, like 800 or 0.5`},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, exitUsage, run(context.Background(), c.args, &stdout, &stdout, &stderr), "%s", c.args)
		require.Equal(t, "spanbucket: "+c.want+"\n", stderr.String(), "%s", c.args)
		require.Empty(t, stdout.String(), "%s", c.args)
	}
}
