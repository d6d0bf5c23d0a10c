package spans

import (
	"encoding/json"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// readRequest reads into w.request what w.observation does not have.
func (w *walker) readRequest(span ptrace.Span) {
	r := &w.request
	r.ParentSpanID, r.SpanName = span.ParentSpanID(), span.Name()
	r.Role = w.meaning.role
	r.Instance = w.instance()
	if r.StatusCode, _ = w.count(fieldStatusCode, 999); r.StatusCode == 0 {
		r.StatusCode = codeOf(w.observation.Series.ErrorType)
	}
	if r.StatusCode > 0 {
		w.known |= aggregator.FactStatusCode
	}
	r.ResponseModel = w.text(&w.span, fieldResponseModel)
	r.FinishReason = w.finishReason(span)
	r.Endpoint, r.Deployment = w.endpoint()
	var counted bool
	if r.MessageCount, counted = w.messageCount(); counted {
		w.known |= aggregator.FactMessageCount
	}
	r.ToolCallID = w.text(&w.span, fieldToolCallID)
	r.Decision, r.DecisionSource = w.decision()
	r.InjectedDelayNano = w.delayNano
	r.ExperimentID = w.experiment()
	r.Target = w.first(fieldTarget)
	r.Phase = w.first(fieldPhase)
	r.Circuit = w.text(&w.span, fieldCircuit)
	w.readCircuits(span)
	w.readEvaluations(span)
	w.readTestCase()
	if w.observation.Series.Category == aggregator.CategoryFault {
		r.Window = w.window(span)
	}
	if w.observation.Series.Run != "" {
		r.RunFacts = w.runFacts()
	}
	r.Known = w.known
}

// first reads a field on the span, then on the resource.
func (w *walker) first(f field) string {
	if text := w.text(&w.span, f); text != "" {
		return text
	}
	return w.text(&w.resource, f)
}

func (w *walker) experiment() string {
	if id := w.text(&w.span, fieldExperiment); id != "" {
		return id
	}
	if w.told.experiment != "" {
		return w.told.experiment
	}
	return w.text(&w.resource, fieldExperiment)
}

// instance names the process that the span comes from: the service instance,
// else host and process.
func (w *walker) instance() string {
	if id := w.text(&w.resource, fieldInstance); id != "" {
		return id
	}
	host, process := w.text(&w.resource, fieldHost), w.text(&w.resource, fieldProcess)
	if host == "" {
		return process
	}
	return w.join(host, ':', process)
}

// finishReasons maps what instrumentations write to the words of the GenAI
// conventions.
var finishReasons = map[string]string{
	"end_turn": "stop", "stop_sequence": "stop", "complete": "stop", "completed": "stop", "eos": "stop",
	"max_tokens": "length", "max_output_tokens": "length", "model_length": "length",
	"content-filter": "content_filter", "refusal": "content_filter", "safety": "content_filter",
	"guardrail_intervened": "content_filter",
	"tool_use":             "tool_call", "tool_calls": "tool_call", "tool-calls": "tool_call", "function_call": "tool_call",
}

// finishReason returns why the model stopped: of several answers, the first.
func (w *walker) finishReason(span ptrace.Span) string {
	text := w.writtenFinishReason()
	if text == "" {
		text = choiceFinishReason(span)
	}
	text = w.lower(text)
	if known, ok := finishReasons[text]; ok {
		return known
	}
	return text
}

// choiceFinishReason returns what the first event about a choice says.
func choiceFinishReason(span ptrace.Span) string {
	for _, event := range span.Events().All() {
		if h := happeningOf(event); h != nil && h.kind == eventChoice {
			if text := firstText(event.Attributes(), []string{"finish_reason"}); isWord(text) {
				return text
			}
		}
	}
	return ""
}

// writtenFinishReason returns the first finish reason that is a word. What is
// none might be content.
func (w *walker) writtenFinishReason() string {
	for w.span.has(fieldFinishReason) {
		rank := w.span.ranks[fieldFinishReason]
		if text := firstElement(w.span.values[fieldFinishReason]); isWord(text) {
			return text
		}
		w.span.settle(uint8(fieldFinishReason), rank)
	}
	return ""
}

// firstElement returns the text of a value, or of the first element of an
// array, which may be written as JSON; empty for anything else.
func firstElement(v pcommon.Value) string {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		text := v.Str()
		if !strings.HasPrefix(text, "[") || len(text) > maxDetails {
			return text
		}
		var texts []string
		if json.Unmarshal([]byte(text), &texts) != nil || len(texts) == 0 {
			return ""
		}
		return texts[0]
	case pcommon.ValueTypeSlice:
		if v.Slice().Len() > 0 {
			return v.Slice().At(0).Str() // empty for what is no text
		}
	}
	return ""
}

// maxWord is the length in bytes above which a text is no word.
const maxWord = 64

// isWord tells whether text can be one of a set of words: letters, digits and
// what joins them.
func isWord(text string) bool {
	for i := range len(text) {
		c := text[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if digit := '0' <= c && c <= '9'; !letter && !digit && strings.IndexByte("_-. /", c) < 0 {
			return false
		}
	}
	return text != "" && len(text) <= maxWord
}

// decision returns what was decided on a tool call, and by whom.
func (w *walker) decision() (decision, source string) {
	source = w.text(&w.span, fieldDecisionSource)
	switch w.lower(w.text(&w.span, fieldDecision)) {
	case "accept", "accepted", "allow", "allowed", "approve", "approved":
		if w.claudeCode && (source == "config" || source == "hook") {
			return "auto", source
		}
		return "accept", source
	case "reject", "rejected", "deny", "denied":
		return "reject", source
	case "auto", "auto_accept", "auto_accepted":
		return "auto", source
	case "modify", "modified":
		return "modify", source
	default:
		return "", ""
	}
}

// describesRun tells whether a span or resource says more of its run than the
// name.
func describesRun(r *record) bool {
	return r.has(fieldRunName) || r.has(fieldRunMode) || r.has(fieldRunProfile) || r.has(fieldRunPreset) ||
		r.has(fieldRunConfig)
}

// runAttributes are kept of the resource of a run's spans: they describe what
// was tested.
var runAttributes = []string{
	"deployment.environment.name", "k6.scenario", "service.version", "test.case.name", "test.scenario",
	"vcs.ref.head.revision",
}

func (w *walker) runFacts() aggregator.RunFacts {
	facts := aggregator.RunFacts{
		Name: w.first(fieldRunName), Mode: w.first(fieldRunMode), Profile: w.first(fieldRunProfile),
		Preset: w.first(fieldRunPreset), ConfigJSON: w.first(fieldRunConfig),
	}
	if w.resourceDescribesRun || describesRun(&w.span) {
		facts.AttributesJSON = w.runAttributes()
	}
	return facts
}

func (w *walker) runAttributes() string {
	values := map[string]string{}
	for _, name := range runAttributes {
		if v, ok := w.resource.attributes.Get(name); ok && usable(v) {
			values[name], _ = aggregator.CleanText(v.AsString())
		}
	}
	return aggregator.DimensionsText(values)
}

// window returns the interval in which a span of an injector injected a fault,
// nil for one that only prepares, probes or waits.
func (w *walker) window(span ptrace.Span) *aggregator.FaultWindow {
	o := &w.observation
	if o.EndUnixNano == 0 {
		return nil
	}
	fault := w.injectedFault(span.Name())
	if fault == "" {
		return nil
	}
	return &aggregator.FaultWindow{
		Run: o.Series.Run, Fault: fault, Target: w.request.Target, ExperimentID: w.request.ExperimentID,
		StartUnixNano: o.StartUnixNano, EndUnixNano: o.EndUnixNano,
	}
}

// injectedFault names the fault that a span of an injector stands for, empty
// for none: what it says itself; the method of a Chaos Toolkit experiment,
// whose activities do not tell actions from probes; in its older tracing, an
// action; or what LitmusChaos has in the names of its spans,
// Inject…FaultIn…Mode.
func (w *walker) injectedFault(spanName string) string {
	injector := w.text(&w.span, fieldInjectorRole) == roleInjector
	if fault := faultWord(w.text(&w.span, fieldFault)); fault != "" {
		return fault
	}
	if fault := faultWord(w.text(&w.resource, fieldFault)); fault != "" && injector {
		return fault
	}
	if injector || w.text(&w.span, fieldChaosActivity) == "action" {
		return spanName
	}
	if spanName == chaosToolkitMethod {
		return spanName
	}
	rest, ok := strings.CutPrefix(spanName, "Inject")
	if !ok {
		rest, ok = strings.CutPrefix(spanName, "inject")
	}
	if !ok {
		return ""
	}
	fault, _, _ := strings.Cut(rest, "Fault")
	return fault
}

// chaosToolkitMethod is the span during which an experiment does what it does
// to the system.
const chaosToolkitMethod = "method"
