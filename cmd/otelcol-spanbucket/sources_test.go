package main

import (
	"encoding/json"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// listed is an entry of builder-config.yaml.
type listed struct {
	GoMod string `yaml:"gomod"`
	Path  string `yaml:"path,omitempty"`
}

// readBuilderConfig returns the list as text and its components.
func readBuilderConfig(t *testing.T) (map[string]any, []listed) {
	text, err := os.ReadFile("builder-config.yaml")
	require.NoError(t, err)
	var whole map[string]any
	require.NoError(t, yaml.Unmarshal(text, &whole))
	var lists struct {
		Receivers, Processors, Exporters, Extensions, Providers []listed
	}
	require.NoError(t, yaml.Unmarshal(text, &lists))
	var all []listed
	for _, list := range [][]listed{lists.Receivers, lists.Processors, lists.Exporters, lists.Extensions, lists.Providers} {
		require.NotEmpty(t, list)
		all = append(all, list...)
	}
	return whole, all
}

// TestSourcesMatchBuilderConfig runs OCB, at the version that tools/go.mod
// pins, and compares.
func TestSourcesMatchBuilderConfig(t *testing.T) {
	config, _ := readBuilderConfig(t)
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	scratch := t.TempDir()
	config["dist"].(map[string]any)["output_path"] = scratch
	for _, entry := range config["exporters"].([]any) {
		if c := entry.(map[string]any); c["path"] != nil {
			c["path"] = root
		}
	}
	text, err := yaml.Marshal(config)
	require.NoError(t, err)
	list := filepath.Join(t.TempDir(), "builder-config.yaml")
	require.NoError(t, os.WriteFile(list, text, 0o600))

	builder := exec.Command("go", "-C", filepath.Join(root, "tools"), "tool", "builder",
		"--config", list, "--skip-compilation", "--skip-get-modules")
	builder.Env = append(os.Environ(), "GOWORK=off")
	output, err := builder.CombinedOutput()
	require.NoError(t, err, string(output))

	generated, err := filepath.Glob(filepath.Join(scratch, "*.go"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(generated), 4)
	for _, file := range generated {
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		want, err = format.Source(want)
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Base(file))
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got), "%s is out of date: run 'make generate'", filepath.Base(file))
	}
}

// TestGoModPinsBuilderConfig holds the versions that are built to the versions
// that are written down.
func TestGoModPinsBuilderConfig(t *testing.T) {
	output, err := exec.Command("go", "mod", "edit", "-json").Output()
	require.NoError(t, err)
	var mod struct {
		Require []struct{ Path, Version string }
		Replace []struct {
			Old, New struct{ Path string }
		}
	}
	require.NoError(t, json.Unmarshal(output, &mod))
	required := map[string]string{}
	for _, r := range mod.Require {
		required[r.Path] = r.Version
		if strings.HasPrefix(r.Path, "go.opentelemetry.io/collector") ||
			strings.HasPrefix(r.Path, "github.com/open-telemetry/opentelemetry-collector-contrib") {
			assert.Contains(t, []string{"v0.159.0", "v1.65.0"}, r.Version, r.Path)
		}
	}
	_, components := readBuilderConfig(t)
	for _, c := range components {
		path, version, _ := strings.Cut(c.GoMod, " ")
		assert.Equal(t, version, required[path], path)
	}
	require.Len(t, mod.Replace, 1)
	assert.Equal(t, "github.com/spanbucket/spanbucketexporter", mod.Replace[0].Old.Path)
	assert.Equal(t, "../..", mod.Replace[0].New.Path)
}
