package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/check"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/stress"
	"github.com/spanbucket/spanbucketexporter/stress/chaos"
	"github.com/spanbucket/spanbucketexporter/stress/experiment"
)

// answerOfStress has something in every field.
func answerOfStress() *stressAnswer {
	profile, rate, perSecond, value, fail := "soak", 250.5, 249.87, 812.5, 800.0
	a := &stressAnswer{
		RunID: "r\x1b[1m", Mode: stress.ModeFull, Profile: &profile, Seed: 42, Interrupted: true, DurationS: 30.012, OpenLoop: true, Rate: &rate,
		Calls: 7499, PerSecond: &perSecond, Outcomes: map[string]int64{"success": 7000, "rate_limited": 400, "server_error": 99},
		Attempts: 8123, Resends: 624, Sessions: 12, ToolCalls: 34, Trips: 1, Delayed: 17, Dropped: 2,
		LatencyMS: map[string]float64{"p50": 101.25, "p95": 812.5, "p99": 1999},
		Injected: map[string]int64{
			"rate_limit": 1062, "overload": 531, "http_503": 312, "http_500": 311, "latency": 310, "http_502": 208, "http_504": 207,
			"timeout": 206, "invalid_json": 205, "reset": 160, "truncated": 159, "http_403": 104, "http_404": 103,
		},
		Chaos: []chaos.Result{
			{Name: "malformed_json", Passed: true, Expected: "400 or 422", Actual: "400", DurationMS: 1.25},
			{Name: "status_endpoint", Expected: "200", Actual: "no answer", DurationMS: 0.5, Error: "connection refused"},
		},
		Skipped: []chaos.Skip{
			{Name: "outage_is_noticed", Reason: "nobody can"}, {Name: "verify_recovery", Reason: "nobody can"}, {Name: "rapid_fire", Reason: "the run ended before"},
		},
		Check: &check.Report{Status: check.Fail, Failed: 1, Results: []check.Result{{Check: "p95", Status: check.Fail, Value: &value, Fail: &fail, Unit: "ms"}}},
	}
	caveat := loopText(a)
	a.Caveat = &caveat
	return a
}

// TestTheAnswerOfStress in its formats: names in JSON and CSV are never to be
// renamed or dropped.
func TestTheAnswerOfStress(t *testing.T) {
	for _, format := range formats {
		var written bytes.Buffer
		p := &program{stdout: &written}
		answer := answerOfStress()
		if format == "json" {
			answer.Check = nil // it is the answer of check, which has tests of its own
		}
		require.NoError(t, p.writeStress(&stressFlags{fileFlags: fileFlags{format: format}}, answer))
		path := filepath.Join("testdata", "stress", "answer."+format)
		if *update {
			require.NoError(t, os.WriteFile(path, written.Bytes(), 0o600))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(want), written.String(), format)
		if format != "text" {
			continue
		}
		for line := range strings.Lines(written.String()) {
			require.LessOrEqual(t, tables.DisplayWidth(strings.TrimSuffix(line, "\n")), stressColumns, line)
		}
	}
}

// TestAClosedLoadSaysWhatItHides, in every format for programs too.
func TestAClosedLoadSaysWhatItHides(t *testing.T) {
	a := &stressAnswer{Calls: 1}
	require.Equal(t, "closed: users wait for answers, so a slow server is asked less and hides part of its latency", loopText(a))
	// Without a load there is nothing to say, and no profile.
	c := &experiment.Config{Mode: stress.ModeChaos, Profile: stress.Profile{Name: "quick"}}
	none := newStressAnswer(c, &experiment.Result{})
	require.Nil(t, none.Caveat)
	require.Nil(t, none.Profile)
	c.Mode = stress.ModeLoad
	require.Equal(t, "quick", *newStressAnswer(c, &experiment.Result{}).Profile)
}

// TestWhoeverDoesNotReadTheAnswerOfStress gets the files that were asked for all
// the same, and the exit code says what came of the run.
func TestWhoeverDoesNotReadTheAnswerOfStress(t *testing.T) {
	folder := t.TempDir()
	db := filepath.Join(folder, "a.db")
	require.NoError(t, filetest.Make(filetest.Options(db, filetest.Begin.Add(time.Hour)), filetest.Traffic(600)))
	for name, c := range map[string]struct {
		stdout  io.Writer
		failure error
		passed  bool   // the chaos test
		p50     string // the threshold
		code    int
	}{
		"all is well":                     {closedPipe{}, nil, true, "1000000", exitFine},
		"a chaos test fails":              {closedPipe{}, nil, false, "1000000", exitCheck},
		"a threshold fails":               {closedPipe{}, nil, true, "0.001", exitCheck},
		"spans were lost":                 {closedPipe{}, errors.New("lost"), true, "1000000", exitUnreadable},
		"the answer could not be written": {fullDisk{}, nil, true, "1000000", exitUnreadable},
		"and it is read to the end":       {io.Discard, nil, false, "1000000", exitCheck},
	} {
		for _, format := range formats {
			t.Run(name+" "+format, func(t *testing.T) {
				report, junit := filepath.Join(t.TempDir(), "report.json"), filepath.Join(t.TempDir(), "junit.xml")
				p := &program{stdin: strings.NewReader(""), stdout: c.stdout, stderr: io.Discard, now: func() time.Time { return filetest.Begin.Add(time.Hour) }}
				flags := newStressFlags()
				cmd := p.stressCommand()
				cmd.ResetFlags()
				flags.add(cmd)
				require.NoError(t, cmd.ParseFlags([]string{"--db", db, "--report", report, "--junit", junit, "--p50", c.p50, "--format", format}))
				held, err := flags.held(cmd, p.stdin)
				require.NoError(t, err)
				result := &experiment.Result{Chaos: []chaos.Result{{Name: "malformed_json", Passed: c.passed}}}
				err = p.conclude(context.Background(), flags, &experiment.Config{Mode: stress.ModeChaos}, result, c.failure, held)
				require.Equal(t, c.code, exitCode(err), "%v", err)
				require.FileExists(t, report)
				require.FileExists(t, junit)
			})
		}
	}
}
