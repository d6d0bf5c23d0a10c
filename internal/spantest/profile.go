package spantest

// Profile says what traffic looks like. A zero field takes the value of Dense,
// so Profile{Series: 200} is usable.
type Profile struct {
	// Name names the profile in tables.
	Name string
	// Series is about how many distinct series the traffic has: combinations
	// of service, operation, kind, provider, model, tool, agent and result. It
	// comes out lower where Services, Models and Tools allow no more.
	Series int
	// Services is the number of services; Instances how many processes each
	// one has. A process is a resource.
	Services, Instances int
	// Models is the number of chat models, at most 16; Tools the number of
	// tools, at most 12.
	Models, Tools int
	// FailureShare is the share of spans that fail, 0…1; below 0 none does.
	FailureShare float64
	// StreamingShare is the share of all spans that carry
	// gen_ai.response.time_to_first_chunk, 0…1; below 0 none does. Only chats
	// that got as far as an answer can, about half of the spans.
	StreamingShare float64
	// SampledShare is the share of spans that stand for two or four in their
	// trace state (ot=th:8, ot=th:c), 0…1. Zero means none.
	SampledShare float64
}

// Dense is a chaos test of a few services and models: about 50 series, so that
// a batch has many spans for each.
var Dense = Profile{
	Name: "dense", Series: 50, Services: 2, Instances: 4, Models: 6, Tools: 4,
	FailureShare: 0.25, StreamingShare: 1.0 / 3,
}

// Wide is a gateway in front of many services and models: of its 1,100 series
// about 1,000 appear in a batch of 8192 spans, with few spans each.
var Wide = Profile{
	Name: "wide", Series: 1100, Services: 10, Instances: 4, Models: 16, Tools: 12,
	FailureShare: 0.30, StreamingShare: 1.0 / 3,
}

func (p Profile) withDefaults() Profile {
	setDefault(&p.Name, Dense.Name)
	setDefault(&p.Series, Dense.Series)
	setDefault(&p.Services, Dense.Services)
	setDefault(&p.Instances, Dense.Instances)
	setDefault(&p.Models, Dense.Models)
	setDefault(&p.Tools, Dense.Tools)
	setDefault(&p.FailureShare, Dense.FailureShare)
	setDefault(&p.StreamingShare, Dense.StreamingShare)
	p.Models = min(p.Models, len(chatModels))
	p.Tools = min(p.Tools, len(toolNames))
	p.FailureShare = max(p.FailureShare, 0)
	p.StreamingShare = max(p.StreamingShare, 0)
	return p
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
