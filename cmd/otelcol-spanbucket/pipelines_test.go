package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// collectorConfig is what of a collector's configuration decides when a client
// is told OK.
type collectorConfig struct {
	Exporters map[string]struct {
		SendingQueue map[string]any `yaml:"sending_queue"`
	} `yaml:"exporters"`
	Service struct {
		Pipelines map[string]struct {
			Processors []string `yaml:"processors"`
			Exporters  []string `yaml:"exporters"`
		} `yaml:"pipelines"`
	} `yaml:"service"`
}

// isA tells whether a component id such as batch/2 is of the type.
func isA(id, kind string) bool {
	name, _, _ := strings.Cut(id, "/")
	return name == kind
}

// early lists what would acknowledge spans before they are committed, and how
// many pipelines end in the exporter.
func (c *collectorConfig) early() (faults []string, pipelines int) {
	for id, exporter := range c.Exporters {
		// The exporter's queue is off unless it is switched on by name.
		if enabled, set := exporter.SendingQueue["enabled"]; isA(id, "spanbucket") && set && enabled != false {
			faults = append(faults, "exporters::"+id+"::sending_queue is on")
		}
	}
	for name, pipeline := range c.Service.Pipelines {
		ours := false
		for _, id := range pipeline.Exporters {
			ours = ours || isA(id, "spanbucket")
		}
		if !ours {
			continue
		}
		pipelines++
		for _, id := range pipeline.Processors {
			if isA(id, "batch") {
				faults = append(faults, "service::pipelines::"+name+" has the processor "+id)
			}
		}
	}
	return faults, pipelines
}

// yamlBlocks returns the fenced blocks marked yaml of a Markdown text.
func yamlBlocks(markdown string) (blocks []string) {
	inside := false
	var block strings.Builder
	for line := range strings.Lines(markdown) {
		switch fence := strings.TrimSpace(line); {
		case !inside && (fence == "```yaml" || fence == "```yml"):
			inside = true
		case inside && fence == "```":
			blocks = append(blocks, block.String())
			block.Reset()
			inside = false
		case inside:
			block.WriteString(line)
		}
	}
	return blocks
}

// TestAcknowledgementIsTheCommit holds the pipelines we ship and show to what
// the README promises: a client that was told OK finds its spans in the file.
func TestAcknowledgementIsTheCommit(t *testing.T) {
	demo, err := os.ReadFile("config.yaml")
	require.NoError(t, err)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	texts := append([]string{string(demo)}, yamlBlocks(string(readme))...)
	total := 0
	for i, text := range texts {
		var c collectorConfig
		require.NoError(t, yaml.Unmarshal([]byte(text), &c), text)
		faults, pipelines := c.early()
		assert.Empty(t, faults, text)
		if i == 0 {
			assert.Equal(t, 1, pipelines, "config.yaml")
		}
		total += pipelines
	}
	assert.GreaterOrEqual(t, total, 2, "the README shows a pipeline")
}

// TestEarlyAcknowledgementIsSeen makes sure that the test above can fail.
func TestEarlyAcknowledgementIsSeen(t *testing.T) {
	blocks := yamlBlocks(strings.Join([]string{
		"text", "```yaml", "exporters: {spanbucket/a: {sending_queue: {enabled: true, storage: file_storage}}}", "```",
		"```yaml", "exporters: {spanbucket: {sending_queue: {enabled: \"${env:QUEUE}\"}}}", "```",
		"```yaml", "service: {pipelines: {traces: {processors: [batch/x], exporters: [debug, spanbucket/b]}}}", "```",
		"```yaml", "exporters: {spanbucket: {sending_queue: {enabled: false}}, otlp: {sending_queue: {}}}", "```",
		"```yaml", "service: {pipelines: {traces: {processors: [batch], exporters: [debug]}}}", "```",
		"```sh", "exporters: {spanbucket: {sending_queue: {enabled: true}}}", "```", "",
	}, "\n"))
	require.Len(t, blocks, 5)
	for i, block := range blocks {
		var c collectorConfig
		require.NoError(t, yaml.Unmarshal([]byte(block), &c))
		faults, _ := c.early()
		assert.Equal(t, i < 3, len(faults) == 1, block)
	}
}
