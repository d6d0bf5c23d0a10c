package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const examplesFolder = "../../examples"

// TestExamples runs every folder of examples as people do, with the programs of
// this checkout: each ends well, all that it expects has come true, it shows the
// commands that its page tells people to type, and it leaves nothing behind.
func TestExamples(t *testing.T) {
	programs := filepath.Dir(spanbucket(t)) // the collector is there, too
	overview, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	for _, name := range exampleNames(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait more than they work
			require.True(t, strings.Contains(string(overview), "(examples/"+name+"/README.md)"), "the README does not list it")
			script, err := os.ReadFile(filepath.Join(examplesFolder, name, "run.sh"))
			require.NoError(t, err)
			expectations := len(regexp.MustCompile(`(?m)^expect `).FindAllString(string(script), -1))
			require.Positive(t, expectations)

			temporary := t.TempDir()
			output, err := runExample(t, name, programs, temporary)
			require.NoError(t, err, "%s", output)
			require.Equal(t, expectations, strings.Count(output, "\nas expected: "), output)
			for _, command := range commandsOf(t, filepath.Join(examplesFolder, name, "README.md")) {
				require.Contains(t, output, "\n$ "+command+"\n")
			}
			left, err := os.ReadDir(temporary)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
	t.Run("a wrong answer is noticed", func(t *testing.T) {
		t.Parallel()
		noticeWrongAnswer(t, programs)
	})
}

// noticeWrongAnswer: an example fails where the file says something else, and
// leaves nothing behind then, either.
func noticeWrongAnswer(t *testing.T, programs string) {
	real := filepath.Join(programs, "spanbucket")
	liar := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(programs, "otelcol-spanbucket"), filepath.Join(liar, "otelcol-spanbucket")))
	require.NoError(t, os.WriteFile(filepath.Join(liar, "spanbucket"),
		fmt.Appendf(nil, "#!/bin/sh\nif [ \"$1\" = query ]; then printf 'n\\n-1\\n'; else exec '%s' \"$@\"; fi\n", real), 0o700))
	temporary := t.TempDir()
	output, err := runExample(t, "gateway", liar, temporary)
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 1, exit.ExitCode(), output)
	require.Contains(t, output, "\nWRONG: ")
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	require.Empty(t, left)
}

func exampleNames(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(examplesFolder)
	require.NoError(t, err)
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	require.NotEmpty(t, names)
	return names
}

var loopback = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// runExample returns what an example prints, with the default port in place of
// the ones that it found free.
func runExample(t *testing.T, name, programs, temporary string) (string, error) {
	t.Helper()
	script, err := filepath.Abs(filepath.Join(examplesFolder, name, "run.sh"))
	require.NoError(t, err)
	command := exec.Command(script)
	command.Dir = t.TempDir() // it works from any folder
	command.Env = append(os.Environ(), "SPANBUCKET_BIN="+programs, "TMPDIR="+temporary)
	output, err := command.CombinedOutput()
	return loopback.ReplaceAllString(string(output), "127.0.0.1:4317"), err
}

// commandsOf returns what a page tells people to type at a prompt.
func commandsOf(t *testing.T, page string) (commands []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	for _, found := range regexp.MustCompile(`(?m)^\$ (.+)$`).FindAllStringSubmatch(string(text), -1) {
		commands = append(commands, found[1])
	}
	require.NotEmpty(t, commands, page)
	return commands
}
