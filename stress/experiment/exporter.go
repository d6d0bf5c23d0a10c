package experiment

import (
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
)

// ownExporter is what the exporter does where nobody says otherwise: so that there
// is a cost, and objectives to look at.
const ownExporter = `
exporters:
  spanbucket:
    # US dollars per million tokens.
    prices:
      - {model: fake-small, input: 0.15, output: 0.60}
      - {model: fake-large, input: 2.50, output: 10}
      - {model: fake-embedding, input: 0.02}
    slos:
      - {name: answered, category: llm, objective: 0.95}
      - {name: answered within 2 s, category: llm, latency: 2s, objective: 0.90}
`

// maxExporterBytes bounds a configuration, which becomes a variable of a program's
// environment.
const maxExporterBytes = 64 << 10

// ReadExporter reads the configuration of a collector from a file, and returns
// what it says of the exporter spanbucket, as YAML. Whatever else is in it has no
// effect; nor has the path of the file that is written. Values are not checked:
// the collector does.
func ReadExporter(path string) (_ string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	text, err := io.ReadAll(io.LimitReader(file, maxExporterBytes+1))
	switch {
	case err != nil:
		return "", err
	case len(text) > maxExporterBytes:
		return "", fmt.Errorf("is longer than %d bytes", maxExporterBytes)
	}
	type configuration struct {
		Exporters struct {
			Spanbucket map[string]any `yaml:"spanbucket"`
		} `yaml:"exporters"`
	}
	var read configuration
	if err := yaml.Unmarshal(text, &read); err != nil {
		return "", err
	}
	if read.Exporters.Spanbucket == nil {
		return "", errors.New("must be a configuration of a collector, with settings under exporters::spanbucket")
	}
	delete(read.Exporters.Spanbucket, "path")
	text, err = yaml.Marshal(read)
	return string(text), err
}
