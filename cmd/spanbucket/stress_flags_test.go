package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/stress"
	"github.com/spanbucket/spanbucketexporter/stress/experiment"
)

// stressConfig parses the flags of stress, without running it.
func stressConfig(t *testing.T, args ...string) (*experiment.Config, error) {
	t.Helper()
	p := &program{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, now: time.Now}
	flags := newStressFlags()
	cmd := p.stressCommand()
	cmd.ResetFlags()
	flags.add(cmd)
	require.NoError(t, cmd.ParseFlags(append([]string{"--otlp", "127.0.0.1:4317"}, args...)))
	c, err := flags.config(cmd.Flags().Changed)
	if err != nil {
		return nil, err
	}
	_, err = flags.held(cmd, p.stdin)
	return c, err
}

// TestEveryFieldOfAProfileIsHonoured, and each can be overridden, alone.
func TestEveryFieldOfAProfileIsHonoured(t *testing.T) {
	for _, profile := range stress.Profiles {
		for _, c := range []struct {
			args   []string
			change func(*stress.Profile)
		}{
			{nil, func(*stress.Profile) {}},
			{[]string{"--users", "7"}, func(p *stress.Profile) { p.Users = 7 }},
			{[]string{"--spawn-rate", "2.5"}, func(p *stress.Profile) { p.SpawnRate = 2.5 }},
			{[]string{"--duration", "42s"}, func(p *stress.Profile) { p.Duration = 42 * time.Second }},
			{[]string{"--users", "1", "--spawn-rate", "0.1", "--duration", "3s"}, func(p *stress.Profile) {
				p.Users, p.SpawnRate, p.Duration = 1, 0.1, 3*time.Second
			}},
		} {
			want := profile
			c.change(&want)
			for _, mode := range []stress.Mode{stress.ModeLoad, stress.ModeFull} {
				got, err := stressConfig(t, append([]string{"--profile", profile.Name, "--mode", string(mode)}, c.args...)...)
				require.NoError(t, err)
				require.Equal(t, want, got.Profile, c.args)
				require.Equal(t, mode, got.Mode)
			}
		}
	}
	got, err := stressConfig(t)
	require.NoError(t, err)
	require.Equal(t, stress.ModeLoad, got.Mode)
	require.Equal(t, "quick", got.Profile.Name)
	require.Equal(t, "realistic", got.Preset.Name)
	require.Zero(t, got.Rate)
	require.InDelta(t, 1, got.Think, 0)
	require.Nil(t, got.Target)
}

// TestOtherFlagsOfStressArriveToo.
func TestOtherFlagsOfStressArriveToo(t *testing.T) {
	got, err := stressConfig(t, "--target", "https://api.example.com/base/v1/", "--model", "m", "--rate", "0.5", "--insecure",
		"--run", "r", "--name", "n", "--seed", "9")
	require.NoError(t, err)
	require.Equal(t, &url.URL{Scheme: "https", Host: "api.example.com", Path: "/base"}, got.Target)
	require.Equal(t, []any{"m", 0.5, 1.0, true, "r", "n", uint64(9), "127.0.0.1:4317"},
		[]any{got.Model, got.Rate, got.Think, got.Insecure, got.RunID, got.Name, got.Seed, got.OTLP})
	require.Empty(t, got.EmbeddingModel+got.Key)
	got, err = stressConfig(t, "--preset", "chaos", "--think", "0")
	require.NoError(t, err)
	require.Equal(t, "chaos", got.Preset.Name)
	require.Zero(t, got.Think)
	require.Less(t, got.Seed, uint64(1<<53), "readers of JSON have it exactly")
	t.Setenv("KEY_OF_MINE", "hush-hush")
	got, err = stressConfig(t, "--target", "http://x", "--embedding-model", "e", "--key-env", "KEY_OF_MINE")
	require.NoError(t, err)
	require.Equal(t, "e", got.EmbeddingModel)
	require.Equal(t, "hush-hush", got.Key)
}

// TestKeysThatCannotBe are refused without being repeated.
func TestKeysThatCannotBe(t *testing.T) {
	t.Setenv("KEY_EMPTY", "")
	for _, c := range []struct{ key, want string }{
		{"hush\n", `--key-env KEY_OF_MINE: the environment variable must not hold control characters, such as the end of a line`},
		{"hush\u0085", `--key-env KEY_OF_MINE: the environment variable must not hold control characters, such as the end of a line`},
		{"", `--key-env KEY_OF_MINE: the environment variable must be set, and not be empty`},
	} {
		t.Setenv("KEY_OF_MINE", c.key)
		_, err := stressConfig(t, "--target", "http://x", "--key-env", "KEY_OF_MINE")
		require.EqualError(t, err, c.want)
	}
	_, err := stressConfig(t, "--target", "http://x", "--key-env", "KEY_OF_NOBODY")
	require.EqualError(t, err, `--key-env KEY_OF_NOBODY: the environment variable must be set, and not be empty`)
	for _, name := range []string{"", "sk-hush", "hush hush", "7hush"} {
		_, err := stressConfig(t, "--target", "http://x", "--key-env", name)
		require.EqualError(t, err, "--key-env: must be the name of an environment variable, of letters, digits and underscores, and not the key itself")
	}
}

// TestFlagsWithoutEffectAreRefused: they would let believe that they had one.
func TestFlagsWithoutEffectAreRefused(t *testing.T) {
	values := map[string]string{"profile": "soak", "users": "7", "spawn-rate": "2.5", "duration": "42s", "rate": "3", "think": "0",
		"embedding-model": "e"}
	const quick, chaos, open = "in mode quick, which is one user and three requests", "in mode chaos, which makes no load",
		"with --rate, which decides when calls begin"
	all := func(why string) map[string]string {
		return map[string]string{"profile": why, "users": why, "spawn-rate": why, "duration": why, "rate": why, "think": why}
	}
	openLoad, chaosTests := map[string]string{"spawn-rate": open, "think": open, "embedding-model": "with --rate, whose calls are all chats"}, all(chaos)
	chaosTests["embedding-model"] = chaos
	for args, why := range map[string]map[string]string{
		"":                     {},
		"--mode full":          {},
		"--mode full --rate 5": openLoad,
		"--rate 5":             openLoad,
		"--mode quick":         all(quick),
		"--mode chaos":         chaosTests,
		"--mode chaos --seed 3 --model m --name n": chaosTests,
	} {
		args += " --target http://x"
		_, err := stressConfig(t, strings.Fields(args)...)
		require.NoError(t, err, args)
		for flag, value := range values {
			if strings.Contains(args, "--"+flag) {
				continue
			}
			_, err := stressConfig(t, append(strings.Fields(args), "--"+flag, value)...)
			if why[flag] == "" {
				require.NoError(t, err, "%s --%s", args, flag)
			} else {
				require.EqualError(t, err, fmt.Sprintf("--%s %s: has no effect %s", flag, value, why[flag]), args)
			}
		}
	}
	_, err := stressConfig(t, "--mode", "quick", "--users", "7", "--think", "2")
	require.EqualError(t, err, "--users 7: has no effect "+quick+"\n--think 2: has no effect "+quick)
}

// TestWrongFlagsOfStress are named with their value and the rule.
func TestWrongFlagsOfStress(t *testing.T) {
	for want, args := range map[string]string{
		`--profile "wild": must be one of ramp_up, sustained, spike, soak, quick`:                       "--profile wild",
		`--mode "wild": must be one of load, chaos, full, quick`:                                        "--mode wild",
		`--preset "wild": must be one of silent, gentle, realistic, stress_aimd, stress_extreme, chaos`: "--preset wild",
		`--users 0: must be between 1 and 100000`:                                                       "--users 0",
		`--users -1: must be between 1 and 100000`:                                                      "--users -1",
		`--users 100001: must be between 1 and 100000`:                                                  "--users 100001",
		`--spawn-rate 0: must be above 0, and at most 1000000 a second`:                                 "--spawn-rate 0",
		`--spawn-rate -2: must be above 0, and at most 1000000 a second`:                                "--spawn-rate -2",
		`--spawn-rate NaN: must be above 0, and at most 1000000 a second`:                               "--spawn-rate NaN",
		`--duration 0s: must be above 0`:                                                                "--duration 0s",
		`--duration -1s: must be above 0`:                                                               "--duration -1s",
		`--duration 2s: in mode full it must be at least 3s, a third for each phase`:                    "--mode full --duration 2s",
		`--rate 0: must be between 0.001 and 1000000 a second`:                                          "--rate 0",
		`--rate -1: must be between 0.001 and 1000000 a second`:                                         "--rate -1",
		`--rate 1e-300: must be between 0.001 and 1000000 a second`:                                     "--rate 1e-300",
		`--rate NaN: must be between 0.001 and 1000000 a second`:                                        "--rate NaN",
		`--think -1: must be between 0 and 1000`:                                                        "--think -1",
		`--think +Inf: must be between 0 and 1000`:                                                      "--think Inf",
		`--target "ftp://x": must be a URL such as http://127.0.0.1:8080`:                               "--target ftp://x",
		`--target "x": must be a URL such as http://127.0.0.1:8080`:                                     "--target x",
		`--target "http://:80": must be a URL such as http://127.0.0.1:8080`:                            "--target http://:80",
		`--preset silent: is of the fake model, which --target replaces`:                                "--preset silent --target http://x",
		`--embedding-model e: only with --target`:                                                       "--embedding-model e",
		`--key-env HOME: only with --target`:                                                            "--key-env HOME",
		`--otlp "localhost": must be a host and a port, such as 127.0.0.1:4317`:                         "--otlp localhost",
		`--collector and --otlp: one of the two`:                                                        "--collector x",
		`--collector-config x.yaml: of a collector that is started; --otlp names one that runs`:         "--collector-config x.yaml",
		`--collector-config x.yaml: open x.yaml: no such file or directory`:                             "--otlp= --db x --collector sh --collector-config x.yaml",
		`--insecure: only with --otlp`:                                                                  "--otlp= --db x --insecure",
		`--db FILE is missing; or name a collector with --otlp`:                                         "--otlp=",
		`--report: without --db there is no file to report on`:                                          "--report x",
		`--p99: without --db there is no file to check`:                                                 "--p99 3",
		`--p99 "x": must be a number of 0 or more in milliseconds, like 800 or 0.5`:                     "--p99 x --db x",
		`--warmup -1s: must not be negative`:                                                            "--warmup -1s --db x",
		`there is nothing to check: a threshold is missing, such as --p99 2000`:                         "--strict --db x",
		`--thresholds -: is empty`:                                                                      "--thresholds - --db x",
		`--format "xml": must be one of text, json, csv`:                                                "--format xml",
	} {
		_, err := stressConfig(t, strings.Fields(args)...)
		require.EqualError(t, err, want, args)
	}
	// Whoever sends a password along must not read it in a log.
	for _, secret := range []string{"http://user:hush@host", "http://host/?key=hush", "http://user:hush@ho st", "http://host/#hush"} {
		_, err := stressConfig(t, "--target", secret)
		require.EqualError(t, err, "--target: must be a URL without a name, a password or a query, such as http://127.0.0.1:8080")
	}
}

// TestStressWritesNoFilesThatItMustNot, and says so before anything is done.
func TestStressWritesNoFilesThatItMustNot(t *testing.T) {
	taken := filepath.Join(t.TempDir(), "folder.html")
	require.NoError(t, os.Mkdir(taken, 0o700))
	for _, flags := range [][]string{{"--report", taken}, {"--junit", taken, "--p99", "1"}} {
		var stderr bytes.Buffer
		args := append([]string{"stress", "--otlp", "127.0.0.1:1", "--insecure", "--db", filepath.Join(t.TempDir(), "a.db")}, flags...)
		require.Equal(t, exitUsage, run(t.Context(), args, strings.NewReader(""), io.Discard, &stderr))
		require.Equal(t, "spanbucket: "+flags[0]+" "+taken+": only a regular file is replaced\n", stderr.String())
	}
}

// TestStressTakesTheFlagsOfCheck, but for those that select what is checked.
func TestStressTakesTheFlagsOfCheck(t *testing.T) {
	var selecting, rules cobra.Command
	(&queryFlags{}).add(&selecting)
	(&checkFlags{values: map[string]*string{}}).addRules(&rules)
	p := &program{}
	stressed := p.stressCommand()
	for _, name := range ruleNames() {
		require.NotNil(t, rules.Flag(name), name)
		require.NotNil(t, stressed.Flag(name), name)
	}
	for usage := range strings.SplitSeq(p.checkCommand().LocalFlags().FlagUsages(), "\n") {
		if flag, ok := strings.CutPrefix(strings.TrimSpace(usage), "--"); ok {
			name, _, _ := strings.Cut(flag, " ")
			require.True(t, selecting.Flag(name) != nil || slices.Contains(ruleNames(), name), name)
		}
	}
}

// TestTheWorstDecidesAboutTheExitCode, whatever else went wrong.
func TestTheWorstDecidesAboutTheExitCode(t *testing.T) {
	lost, failed, missing := errors.New("lost"), errCheck, errNoData
	for _, c := range []struct {
		all  []error
		code int
		text string
	}{
		{[]error{nil, nil}, exitFine, ""},
		{[]error{nil, missing}, exitUsage, "no data"},
		{[]error{missing, failed}, exitCheck, "no data\ncheck failed"},
		{[]error{failed, missing}, exitCheck, "check failed\nno data"},
		{[]error{failed, lost, missing}, exitUnreadable, "check failed\nlost\nno data"},
		{[]error{worst(failed, missing), worst(lost)}, exitUnreadable, "check failed\nno data\nlost"},
	} {
		err := worst(c.all...)
		require.Equal(t, c.code, exitCode(err), c.text)
		if c.text == "" {
			require.NoError(t, err)
		} else {
			require.EqualError(t, err, c.text)
		}
	}
}
