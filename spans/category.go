package spans

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// work says what sort of work the span is, names it, and tells whether its
// tokens count. Spans of fault injectors come first; then the GenAI operation,
// by the first source with a known word; else the rest of the span decides, so
// that a word unknown here can never add tokens a second time.
func (w *walker) work(span ptrace.Span) meaning {
	r := &w.span
	if w.injector || r.hasAny(injectorFields) && w.saysInjector() {
		return meaning{operation: span.Name(), category: aggregator.CategoryFault}
	}
	if w.claudeCode {
		if m, name := claudeCodeVocabulary.find(span.Name()); m != nil {
			return m.named(name)
		}
	}
	unknown := ""
	for r.has(fieldOperation) {
		word := w.text(r, fieldOperation)
		if word == "" {
			break
		}
		rank := r.ranks[fieldOperation]
		m, word := w.index.vocabularies[rank-1].find(word)
		if m != nil {
			return m.named(word)
		}
		if rank == 1 {
			unknown = word
		}
		r.settle(uint8(fieldOperation), rank)
	}
	if unknown == "" {
		unknown = w.operation(span.Name())
	}
	return meaning{operation: unknown, category: w.category(span.Kind())}
}

func (w *walker) saysInjector() bool {
	return w.span.has(fieldChaosToolkit) || w.text(&w.span, fieldInjectorRole) == roleInjector
}

// roleInjector is what chaos.role says on spans of an injector.
const roleInjector = "injector"

// named returns the meaning of a word with a name for the operation.
func (m *meaning) named(word string) meaning {
	named := *m
	if named.operation == "" {
		named.operation = word
	}
	return named
}

// category tells by protocol and kind what sort of work a span is that names
// no GenAI operation.
func (w *walker) category(kind ptrace.SpanKind) aggregator.Category {
	switch {
	case w.text(&w.span, fieldDBSystem) != "":
		return aggregator.CategoryDatabase
	case w.text(&w.span, fieldMessagingSystem) != "", kind == ptrace.SpanKindProducer, kind == ptrace.SpanKindConsumer:
		return aggregator.CategoryMessaging
	case kind == ptrace.SpanKindServer:
		return aggregator.CategoryServer
	case kind == ptrace.SpanKindClient:
		return aggregator.CategoryClient
	default:
		return aggregator.CategoryOther
	}
}

// isInjector tells by service and instrumentation scope whether spans come
// from the experiments of LitmusChaos or Chaos Toolkit.
func isInjector(service, scope string) bool {
	return strings.HasPrefix(scope, "litmuschaos.io/") || strings.HasPrefix(scope, "chaostracing.") ||
		scope == "chaostoolkit" || service == "chaos_experiment_job" || service == "chaos_experiment_job_helper"
}

// kindOf maps the span kinds of pdata; an unknown number is unspecified.
func kindOf(kind ptrace.SpanKind) aggregator.Kind {
	if kind < 0 || int(kind) >= int(aggregator.NumKinds) {
		return aggregator.KindUnspecified
	}
	return aggregator.Kind(kind)
}
