package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/check"
	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/stress"
	"github.com/spanbucket/spanbucketexporter/stress/experiment"
)

// stressFlags are those of the verb stress.
type stressFlags struct {
	fileFlags
	mode, profile, preset string
	users                 int
	spawnRate             float64
	duration              time.Duration
	rate, think           float64
	target, model         string
	embeddingModel        string
	keyEnv                string // a name; the key itself is nowhere but in the configuration
	otlp                  string
	insecure              bool
	collector             string
	collectorConfig       string
	run, name             string
	seed                  uint64
	report                string
	quiet                 bool
	checks                checkFlags // of the run, when it has ended
}

func newStressFlags() *stressFlags {
	return &stressFlags{checks: checkFlags{values: map[string]*string{}}}
}

func (f *stressFlags) add(cmd *cobra.Command) {
	f.fileFlags.add(cmd, "the file that the collector writes; made where it is missing (required without --otlp)")
	flags := cmd.Flags()
	flags.StringVar(&f.mode, "mode", string(stress.ModeLoad), "what to do: "+strings.Join(modeNames(), ", "))
	flags.StringVar(&f.profile, "profile", "quick", "users, spawn rate and duration: "+strings.Join(profileNames(), ", "))
	flags.IntVar(&f.users, "users", 0, "users at the height of the load, or calls at once with --rate (default: the profile's)")
	flags.Float64Var(&f.spawnRate, "spawn-rate", 0, "users that begin each second (default: the profile's)")
	flags.DurationVar(&f.duration, "duration", 0, "how long the load lasts (default: the profile's)")
	flags.Float64Var(&f.rate, "rate", 0, "single chats that begin each second, whatever becomes of the others (default: users decide)")
	flags.Float64Var(&f.think, "think", 1, "scales how long users think between two questions; 0: not at all")
	flags.StringVar(&f.target, "target", "", "URL of an API of OpenAI's dialect, without its /v1 (default: a fake model)")
	flags.StringVar(&f.model, "model", "", "the model that --target is asked for")
	flags.StringVar(&f.embeddingModel, "embedding-model", "", "the model that --target is asked for embeddings (default: none is asked for)")
	flags.StringVar(&f.keyEnv, "key-env", "", "environment variable that holds the key of --target; sent as a bearer token, written nowhere")
	flags.StringVar(&f.preset, "preset", "realistic", "faults and latency of the fake model: "+strings.Join(presetNames(), ", "))
	flags.StringVar(&f.otlp, "otlp", "", "host:port of a collector's OTLP/gRPC (default: one is started)")
	flags.BoolVar(&f.insecure, "insecure", false, "no TLS towards --otlp")
	flags.StringVar(&f.collector, "collector", "", "the collector to start (default: otelcol-spanbucket, beside this program or in the path)")
	flags.StringVar(&f.collectorConfig, "collector-config", "",
		"a collector's configuration, whose exporter spanbucket the collector to start has, but for its path (default: prices of the fake model, two objectives)")
	flags.StringVar(&f.run, "run", "", "id of the run (default: made of the time)")
	flags.StringVar(&f.name, "name", "", "name of the run")
	flags.Uint64Var(&f.seed, "seed", 0, "of everything that is drawn (default: drawn)")
	flags.StringVar(&f.report, "report", "", "write a report of the run to this file, when it has ended")
	flags.BoolVar(&f.quiet, "quiet", false, "no progress")
	f.checks.addRules(cmd)
	complete(cmd, "mode", func() ([]string, cobra.ShellCompDirective) { return modeNames(), cobra.ShellCompDirectiveNoFileComp })
	complete(cmd, "profile", func() ([]string, cobra.ShellCompDirective) { return profileNames(), cobra.ShellCompDirectiveNoFileComp })
	complete(cmd, "preset", func() ([]string, cobra.ShellCompDirective) { return presetNames(), cobra.ShellCompDirectiveNoFileComp })
}

// held returns what the run is held to; nil where no such flag was given.
func (f *stressFlags) held(cmd *cobra.Command, stdin io.Reader) (*check.Options, error) {
	names := ruleNames()
	at := slices.IndexFunc(names, cmd.Flags().Changed)
	if at < 0 {
		return nil, nil
	}
	if f.db == "" {
		return nil, usageError{fmt.Errorf("--%s: without --db there is no file to check", names[at])}
	}
	f.checks.queryFlags = f.ofRun(f.run, f.format)
	options, err := f.checks.rules(cmd, stdin)
	return &options, err
}

// ofRun are the flags of a question about a run that has ended: nobody writes
// any more, so nothing is to settle.
func (f *stressFlags) ofRun(run, format string) queryFlags {
	return queryFlags{fileFlags: fileFlags{db: f.db, format: format}, run: run, runSet: func() bool { return true }, includeOpen: true}
}

// checkFiles refuses names that the files to write must not take.
func (f *stressFlags) checkFiles() error {
	var faults []error
	for _, file := range []writtenFile{{flag: "--report", path: f.report, source: f.db}, {flag: "--junit", path: f.checks.junit, source: f.db}} {
		if toFile(file.path) {
			faults = append(faults, file.check())
		}
	}
	return errors.Join(faults...)
}

func modeNames() (names []string) {
	for _, m := range stress.Modes {
		names = append(names, string(m))
	}
	return names
}

func profileNames() (names []string) {
	for _, p := range stress.Profiles {
		names = append(names, p.Name)
	}
	return names
}

// config checks the flags and turns them into an experiment. set tells whether
// a flag was given.
func (f *stressFlags) config(set func(string) bool) (*experiment.Config, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	c := &experiment.Config{
		Rate: f.rate, Think: f.think, Model: f.model, EmbeddingModel: f.embeddingModel, OTLP: f.otlp, Insecure: f.insecure, DB: f.db, RunID: f.run, Name: f.name, Seed: f.seed,
	}
	var faults [9]error
	c.Mode, faults[0] = stress.ParseMode(f.mode)
	c.Profile, faults[1] = stress.ParseProfile(f.profile)
	c.Preset, faults[2] = fakellm.ParsePreset(f.preset)
	faults[3] = f.override(c, set)
	c.Target, faults[4] = parseTarget(f.target)
	faults[5] = f.place(c, set)
	c.Key, faults[6] = f.key(set)
	faults[7] = errors.Join(f.idle(set)...)
	if !set("seed") {
		c.Seed = rand.Uint64N(1 << 53) // as large a number as every reader of JSON has
	}
	if f.run == "" {
		f.run = "stress-" + time.Now().UTC().Format("20060102T150405.000Z")
	}
	c.RunID = f.run
	for i, err := range faults {
		if err != nil && i < 3 {
			faults[i] = fmt.Errorf("--%w", err)
		}
	}
	if err := errors.Join(faults[:]...); err != nil {
		return nil, err
	}
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("--%w", err)
	}
	return c, nil
}

// override puts what was given in place of what the profile says.
func (f *stressFlags) override(c *experiment.Config, set func(string) bool) error {
	var faults []error
	refuse := func(flag string, value any, rule string) {
		faults = append(faults, fmt.Errorf("--%s %v: must be %s", flag, value, rule))
	}
	if set("users") {
		if c.Profile.Users = f.users; f.users < 1 || f.users > 100_000 {
			refuse("users", f.users, "between 1 and 100000")
		}
	}
	if set("spawn-rate") {
		if c.Profile.SpawnRate = f.spawnRate; !(f.spawnRate > 0 && f.spawnRate <= 1e6) {
			refuse("spawn-rate", f.spawnRate, "above 0, and at most 1000000 a second")
		}
	}
	if set("duration") {
		if c.Profile.Duration = f.duration; f.duration <= 0 {
			refuse("duration", f.duration, "above 0")
		}
	}
	if set("rate") && !(f.rate >= stress.MinRate && f.rate <= stress.MaxRate) {
		refuse("rate", f.rate, fmt.Sprintf("between %g and %d a second", stress.MinRate, int(stress.MaxRate)))
	}
	if !(f.think >= 0 && f.think <= 1000) {
		refuse("think", f.think, "between 0 and 1000")
	}
	return errors.Join(faults...)
}

// idle refuses flags that would have no effect.
func (f *stressFlags) idle(set func(string) bool) (faults []error) {
	values := map[string]any{
		"profile": f.profile, "users": f.users, "duration": f.duration, "rate": f.rate,
		"spawn-rate": f.spawnRate, "think": f.think, "embedding-model": f.embeddingModel,
	}
	refuse := func(why string, flags ...string) {
		for _, flag := range flags {
			if set(flag) {
				faults = append(faults, fmt.Errorf("--%s %v: has no effect %s", flag, values[flag], why))
			}
		}
	}
	switch mode := stress.Mode(f.mode); {
	case mode == stress.ModeQuick:
		refuse("in mode quick, which is one user and three requests", "profile", "users", "duration", "rate", "spawn-rate", "think")
	case mode == stress.ModeChaos:
		refuse("in mode chaos, which makes no load", slices.Sorted(maps.Keys(values))...)
	case set("rate"):
		refuse("with --rate, which decides when calls begin", "spawn-rate", "think")
		refuse("with --rate, whose calls are all chats", "embedding-model")
	}
	return faults
}

// place decides who keeps the spans.
func (f *stressFlags) place(c *experiment.Config, set func(string) bool) (err error) {
	switch {
	case f.otlp == "" && f.db == "":
		return errors.New("--db FILE is missing; or name a collector with --otlp")
	case f.otlp != "" && set("collector"):
		return errors.New("--collector and --otlp: one of the two")
	case f.otlp != "" && set("collector-config"):
		return fmt.Errorf("--collector-config %s: of a collector that is started; --otlp names one that runs", f.collectorConfig)
	case f.otlp == "" && f.insecure:
		return errors.New("--insecure: only with --otlp")
	case f.target == "" && set("embedding-model"):
		return fmt.Errorf("--embedding-model %s: only with --target", f.embeddingModel)
	case f.target != "" && set("preset"):
		return fmt.Errorf("--preset %s: is of the fake model, which --target replaces", f.preset)
	case f.otlp != "" && f.report != "" && f.db == "":
		return errors.New("--report: without --db there is no file to report on")
	case reportFormat(f.report) == "":
		return fmt.Errorf("--report %s: must end in .html, .md, .txt or .json", f.report)
	case f.otlp == "":
		if c.Collector, err = experiment.FindCollector(f.collector); err != nil && f.collector != "" {
			err = fmt.Errorf("--collector %s: %w", f.collector, err)
		}
		if set("collector-config") && err == nil {
			if c.Exporter, err = experiment.ReadExporter(f.collectorConfig); err != nil {
				err = fmt.Errorf("--collector-config %s: %w", f.collectorConfig, err)
			}
		}
		return err
	}
	if _, port, err := net.SplitHostPort(f.otlp); err != nil || port == "" {
		return fmt.Errorf("--otlp %q: must be a host and a port, such as 127.0.0.1:4317", f.otlp)
	}
	return nil
}

// variableName is what an environment variable may be called.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// key returns the key of the target; empty: it needs none. Errors do not repeat
// it, nor what may be one that was given in place of a variable's name.
func (f *stressFlags) key(set func(string) bool) (string, error) {
	key := os.Getenv(f.keyEnv)
	switch {
	case !set("key-env"):
		return "", nil
	case !variableName.MatchString(f.keyEnv):
		return "", errors.New("--key-env: must be the name of an environment variable, of letters, digits and underscores, and not the key itself")
	case f.target == "":
		return "", fmt.Errorf("--key-env %s: only with --target", f.keyEnv)
	case key == "":
		return "", fmt.Errorf("--key-env %s: the environment variable must be set, and not be empty", f.keyEnv)
	case strings.ContainsFunc(key, unicode.IsControl):
		return "", fmt.Errorf("--key-env %s: the environment variable must not hold control characters, such as the end of a line", f.keyEnv)
	}
	return key, nil
}

// parseTarget reads the URL of an API.
func parseTarget(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	target, err := url.Parse(text)
	switch {
	case strings.ContainsAny(text, "@?#"): // what may be secret must not be repeated
		return nil, errors.New("--target: must be a URL without a name, a password or a query, such as http://127.0.0.1:8080")
	case err != nil || !slices.Contains([]string{"http", "https"}, target.Scheme) || target.Hostname() == "":
		return nil, fmt.Errorf("--target %q: must be a URL such as http://127.0.0.1:8080", text)
	}
	target.Path = strings.TrimSuffix(strings.TrimSuffix(target.Path, "/"), "/v1")
	return target, nil
}
