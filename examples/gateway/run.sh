#!/usr/bin/env bash
# A gateway in front of an LLM app: see README.md.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../collector.sh
source "$(dirname "$0")/../collector.sh"

start_collector gateway.db

# The app: people and agents that ask a language model, here a fake one.
show spanbucket stress --otlp "$grpc" --insecure --preset gentle --users 10 --spawn-rate 100 --duration 3s \
	--think 0.05 --run day-1 --quiet --format csv | tee app.csv

# Its health check, which the gateway drops.
now=$(now_ns)
post '{"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "app"}}]},
	"scopeSpans": [{"spans": [{"traceId": "'"$(id 16)"'", "spanId": "'"$(id 8)"'", "name": "GET /healthz", "kind": 2,
	"startTimeUnixNano": "'"$now"'", "endTimeUnixNano": "'"$now"'",
	"attributes": [{"key": "url.path", "value": {"stringValue": "/healthz"}}]}]}]}]}'

stop_collectors

# The collector has stopped, so the youngest buckets lack nothing.
show spanbucket usage --db gateway.db --by model --include-open
show spanbucket slo --db gateway.db --include-open
show spanbucket check --db gateway.db --slo --include-open

echo
calls="category IN ('llm', 'embedding') AND width_s = 10"
expect 'calls in the file, as the app counts them' "$(count calls app.csv)" \
	"$(number gateway.db "SELECT sum(requests) FROM latency WHERE $calls")"
expect 'calls with tokens and without a price' 0 \
	"$(number gateway.db "SELECT sum(usage_count) - sum(priced_count) FROM latency WHERE $calls")"
expect 'health checks' 0 "$(number gateway.db "SELECT coalesce(sum(requests), 0) FROM latency
	WHERE service = 'app' AND width_s = 10")"
