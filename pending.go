package spanbucketexporter

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/spans"
)

// withoutRedaction stands in until spans has Redact: letters hold identities.
type withoutRedaction struct{ *spans.Reader }

func (withoutRedaction) Redact(batch ptrace.Traces) ptrace.Traces { panic("not yet") }
