#!/usr/bin/env bash
# A chaos experiment: see README.md.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../collector.sh
source "$(dirname "$0")/../collector.sh"

start_collector chaos.db

load() { # SECONDS PRESET: the application for a while; exit code 1: no call succeeded
	show spanbucket stress --otlp "$grpc" --insecure --run experiment-1 --users 8 --spawn-rate 100 \
		--think 0.05 --duration "$1" --preset "$2" --quiet --format csv || (($? == 1))
}

# What Chaos Toolkit does: it looks whether all is well, does something to the
# system during its method, and looks again.
began=$(now_ns)
load 3s silent | tee before.csv
method_began=$(now_ns)
load 2s stress_extreme | tee during.csv
method_ended=$(now_ns)
load 3s silent | tee after.csv
ended=$(now_ns)

# The spans that its control chaostracing.oltp sends of that, where
# OTEL_RESOURCE_ATTRIBUTES is test.run.id=experiment-1.
trace=$(id 16) experiment=$(id 8) method=$(id 8)
text() { # KEY VALUE: an attribute
	printf '{"key": "%s", "value": {"stringValue": "%s"}}' "$1" "$2"
}
span() { # ID PARENT NAME BEGIN END ATTRIBUTES
	printf '{"traceId": "%s", "spanId": "%s", "parentSpanId": "%s", "name": "%s", "kind": 1, "startTimeUnixNano": "%s", "endTimeUnixNano": "%s", "attributes": [%s]}' \
		"$trace" "$@"
}
post '{"resourceSpans": [{"resource": {"attributes": ['"$(text service.name chaostoolkit), $(text test.run.id experiment-1)"']},
	"scopeSpans": [{"scope": {"name": "chaostracing.oltp"}, "spans": [
	'"$(span "$experiment" '' experiment "$began" "$ended" \
	"$(text chaostoolkit.experiment.title 'Do users notice when the provider refuses them?'), $(text chaostoolkit.experiment.status completed)")"',
	'"$(span "$(id 8)" "$experiment" hypothesis "$began" "$method_began" "$(text chaostoolkit.hypothesis.phase before)")"',
	'"$(span "$method" "$experiment" method "$method_began" "$method_ended" '')"',
	'"$(span "$(id 8)" "$method" 'activity: refuse-calls' "$method_began" "$method_ended" \
	"$(text chaostoolkit.activity.name refuse-calls), $(text chaostoolkit.activity.status succeeded)")"',
	'"$(span "$(id 8)" "$experiment" hypothesis "$method_ended" "$ended" "$(text chaostoolkit.hypothesis.phase after)")"'
	]}]}]}'

stop_collectors

show spanbucket faults --db chaos.db --include-open
show spanbucket diagnose --db chaos.db --include-open

echo
impact="FROM fault_impact WHERE fault = 'method' AND run_id = 'experiment-1'"
expect 'experiments' 1 "$(number chaos.db "SELECT count(*) $impact")"
expect 'calls during the method, as the application counts them' "$(count calls during.csv)" \
	"$(number chaos.db "SELECT requests_during $impact")"
expect 'calls failed during the method, and neither before nor after' 1 "$(number chaos.db "SELECT
	error_rate_during > 0.1 AND error_rate_before < 0.05 AND error_rate_after < 0.05 $impact")"
expect 'calls in the file' "$(($(count calls before.csv) + $(count calls during.csv) + $(count calls after.csv)))" \
	"$(number chaos.db "SELECT sum(requests) FROM latency WHERE category IN ('llm', 'embedding') AND width_s = 10")"
