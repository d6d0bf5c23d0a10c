package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// Setting is something that a run says of how it was made.
type Setting struct {
	// Name in words where the key is known, else the key.
	Name  string `json:"name"`
	Value string `json:"value"`
}

const (
	// maxDetailedRuns is how many runs have settings: the newest, and the one
	// that is asked for.
	maxDetailedRuns = 20
	// maxSettings and maxSettingColumns bound what a run says of itself.
	maxSettings       = 40
	maxSettingColumns = 200
	maxConfigBytes    = 16 << 10
)

// The loops of a load: users wait for answers, or calls begin when they are due.
const (
	loopClosed = "closed"
	loopOpen   = "open"
)

// settingNames are the known keys of the configuration of a run, in the order
// in which they are told.
var settingNames = []struct {
	key, name string
	show      func(value string) string // nil: as it is
}{
	{"mode", "mode", nil},
	{"profile", "profile", nil},
	{"preset", "preset", nil},
	{"loop", "loop", nil},
	{"target", "target", nil},
	{"model", "model", nil},
	{"embedding_model", "model of embeddings", nil},
	{"users", "users", nil},
	{"spawn_rate", "users started per second", nil},
	{"rate", "calls begun per second", nil},
	{"requests", "requests", nil},
	{"duration_s", "duration", func(v string) string { return v + " s" }},
	{"think", "think time", thinkText},
	{"seed", "seed", nil},
	{"delayed_starts", "starts that came late", nil},
	{"dropped_starts", "starts that were dropped", nil},
}

func thinkText(factor string) string {
	switch factor {
	case "0":
		return "none"
	case "1":
		return "natural"
	}
	return factor + " × natural"
}

// newRun says of a run what its row says; with what it is configured if detailed.
func newRun(row *analysis.RunRow, picked, detailed bool) Run {
	r := Run{Run: row.Run, Pinned: row.Pinned, Open: row.Open, Picked: picked, Mode: row.Mode, Profile: row.Profile, Preset: row.Preset,
		Settings: []Setting{}, Remarks: []string{}}
	if !detailed {
		return r
	}
	if row.ConfigJSON != nil && len(*row.ConfigJSON) <= maxConfigBytes {
		r.ConfigJSON = row.ConfigJSON
	}
	said, isObject := settingsOf(row.ConfigJSON)
	for key, value := range map[string]*string{"mode": row.Mode, "profile": row.Profile, "preset": row.Preset} {
		if value != nil {
			said[key] = *value
		}
	}
	if loop := said["loop"]; loop == loopClosed || loop == loopOpen {
		r.Loop, r.Remarks = &loop, loopRemarks(said)
	}
	for _, known := range settingNames {
		if value, ok := said[known.key]; ok {
			if known.show != nil {
				value = known.show(value)
			}
			r.addSetting(known.name, value)
			delete(said, known.key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(said)) {
		r.addSetting(key, said[key])
	}
	if !isObject && row.ConfigJSON != nil {
		r.addSetting("configuration", *row.ConfigJSON)
	}
	return r
}

func (r *Run) addSetting(name, value string) {
	if len(r.Settings) < maxSettings && value != "" {
		r.Settings = append(r.Settings, Setting{tables.Cut(name, maxSettingColumns), tables.Cut(value, maxSettingColumns)})
	}
}

// settingsOf reads the configuration of a run: texts as they are, all else as
// JSON. It may be anything.
func settingsOf(config *string) (said map[string]string, isObject bool) {
	said = map[string]string{}
	var fields map[string]json.RawMessage
	if config == nil || json.Unmarshal([]byte(*config), &fields) != nil || fields == nil {
		return said, false
	}
	for key, raw := range fields {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
			if compact := new(bytes.Buffer); json.Compact(compact, raw) == nil {
				text = compact.String()
			}
		}
		if text != "null" {
			said[key] = text
		}
	}
	return said, true
}

// loopRemarks say what the way in which load is made does to the figures.
func loopRemarks(said map[string]string) []string {
	if said["loop"] == loopClosed {
		return []string{"The load was a closed loop: users waited for an answer before they asked again. " +
			"A slow server was asked less often then, and so hides part of its own latency."}
	}
	text := "The load was an open loop: calls began when they were due, and latency counts from then."
	delayed, dropped := said["delayed_starts"], said["dropped_starts"]
	if delayed == "" || dropped == "" {
		return []string{text + " How many began late, or never, is not known."}
	}
	text += fmt.Sprintf(" Starts that came late: %s; starts that were dropped: %s.", tables.Cut(delayed, 20), tables.Cut(dropped, 20))
	if dropped != "0" {
		text += " What was dropped has no latency, so the figures flatter the server."
	}
	return []string{text}
}

// addLoad says how the load was made, run by run.
func (r *Report) addLoad(d *document, p *Pick) {
	var lines facts
	var remarks []string
	for i := range r.Runs {
		run := &r.Runs[i]
		if len(run.Settings) == 0 || p.RunID != nil && run.RunID != *p.RunID {
			continue
		}
		if len(lines) == maxTextLoads {
			lines = append(lines, [2]string{"runs", "and more: --run shows them"})
			break
		}
		var parts []string
		for _, s := range run.Settings {
			parts = append(parts, s.Name+" "+s.Value)
		}
		lines = append(lines, [2]string{"run", tables.RunName(run.RunID) + ": " + strings.Join(parts, " · ")})
		for _, text := range run.Remarks {
			if !slices.Contains(remarks, text) {
				remarks = append(remarks, text)
			}
		}
	}
	if len(lines) == 0 {
		return
	}
	d.heading(2, "How the load was made")
	d.facts(lines)
	for _, text := range remarks {
		d.paragraph(text)
	}
}

// maxTextLoads is how many runs a text tells the load of.
const maxTextLoads = 5
