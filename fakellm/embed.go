package fakellm

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
)

// dimensions of an embedding.
const dimensions = 16

// embeddings is an answer.
type embeddings struct {
	model   string
	vectors [][]float64
	prompt  int
}

// embed answers a request for embeddings of a text, or of several.
func embed(r *http.Request, body []byte, seed uint64) (answer, *requestError) {
	var asked struct {
		Model string          `json:"model"`
		Input json.RawMessage `json:"input"`
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, invalid("the body is no embeddings request: %s", oneLine(err))
	}
	if deployment := r.PathValue("deployment"); deployment != "" && asked.Model == "" {
		asked.Model = deployment
	}
	if asked.Model == "" {
		return nil, invalid("model: must be given")
	}
	var texts []string
	var text string
	if json.Unmarshal(asked.Input, &texts) != nil {
		if json.Unmarshal(asked.Input, &text) != nil {
			return nil, invalid("input: must be a text or a list of texts")
		}
		texts = []string{text}
	}
	if len(texts) == 0 {
		return nil, invalid("input: must not be empty")
	}
	made := &embeddings{model: asked.Model}
	random := rand.New(rand.NewPCG(seed, 2))
	for _, text := range texts {
		made.prompt += 1 + len(text)/4
		vector := make([]float64, dimensions)
		for i := range vector {
			vector[i] = random.Float64()*2 - 1
		}
		made.vectors = append(made.vectors, vector)
	}
	return made, nil
}

func (e *embeddings) write(d *delivery) error {
	var data []any
	for i, vector := range e.vectors {
		data = append(data, map[string]any{"object": "embedding", "index": i, "embedding": vector})
	}
	return d.whole(map[string]any{
		"object": "list", "model": e.model, "data": data,
		"usage": map[string]any{"prompt_tokens": e.prompt, "total_tokens": e.prompt},
	}, 0)
}

// listModels names some models; requests may name any.
func listModels(w http.ResponseWriter, _ *http.Request) {
	var data []any
	for _, name := range []string{"fake-small", "fake-large", "fake-embedding"} {
		data = append(data, map[string]any{"id": name, "object": "model", "created": 0, "owned_by": "fakellm"})
	}
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": data})
}
