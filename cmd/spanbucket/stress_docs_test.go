package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/stress"
	"github.com/spanbucket/spanbucketexporter/stress/chaos"
)

// TestTablesOfTheStressPage: profiles, presets and chaos tests are those of the
// program, each with its figures; -update writes them.
func TestTablesOfTheStressPage(t *testing.T) {
	const path = "../../docs/stress.md"
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	page := string(text)
	for header, rows := range map[string][]string{
		"| `--profile`": profileRows(), "| `--preset`": presetRows(), "| test | passes with": caseRows(),
	} {
		_, after, found := strings.Cut(page, "\n"+header)
		require.True(t, found, header)
		_, after, _ = strings.Cut(after, "|\n|---") // the rest of the header
		_, after, _ = strings.Cut(after, "\n")
		table, _, _ := strings.Cut(after, "\n\n")
		want := strings.Join(rows, "\n")
		if *update {
			page = strings.Replace(page, table, want, 1)
			continue
		}
		require.Equal(t, want, table, header)
	}
	for _, mode := range stress.Modes {
		require.Contains(t, page, fmt.Sprintf("\n| `%s` | ", mode))
	}
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(page), 0o600))
	}
}

func profileRows() (rows []string) {
	for _, p := range stress.Profiles {
		rows = append(rows, fmt.Sprintf("| `%s` | %d | %g | %v |", p.Name, p.Users, p.SpawnRate, p.Duration))
	}
	return rows
}

func presetRows() (rows []string) {
	for _, p := range fakellm.Presets {
		var faults []string
		total := 0
		for f, n := range p.PerMillion {
			if total += n; n > 0 {
				faults = append(faults, fmt.Sprintf("%s %g", fakellm.Fault(f), float64(n)/1e4))
			}
		}
		said, bursts := "none", "none"
		if total > 0 {
			said = fmt.Sprintf("%g %%: %s", float64(total)/1e4, strings.Join(faults, ", "))
		}
		if b := p.Burst; b.Interval > 0 {
			bursts = fmt.Sprintf("%v every %v: %d %% get 429, of the others %d %% get 529", b.Length, b.Interval, b.RateLimitedPerMillion/10_000, b.OverloadedPerMillion/10_000)
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %v ± %v | %s |", p.Name, said, p.Latency, p.Jitter, bursts))
	}
	return rows
}

func caseRows() (rows []string) {
	for _, c := range chaos.Cases {
		rows = append(rows, fmt.Sprintf("| `%s` | %s |", c.Name, c.Expected))
	}
	return rows
}
