#!/usr/bin/env bash
# Three collectors and one file of all: see README.md.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../collector.sh
source "$(dirname "$0")/../collector.sh"

# Each region has its application and its collector; all at once.
applications=()
for region in north east south; do
	start_collector "$region.db"
	spanbucket stress --otlp "$grpc" --insecure --preset gentle --users 8 --spawn-rate 100 --duration 2s \
		--think 0.05 --run "$region" --quiet --format csv >"$region.csv" &
	applications+=($!)
done
for application in "${applications[@]}"; do
	wait "$application"
done
stop_collectors

show spanbucket merge north.db east.db south.db -o all.db
show spanbucket verify --db all.db
show spanbucket latency --db all.db --by run_id,model --include-open
again=0
show spanbucket merge north.db all.db -o twice.db || again=$?

calls="SELECT sum(requests) FROM latency WHERE category IN ('llm', 'embedding') AND width_s = 10"
echo
expect 'calls in the file of all, as the applications count them' \
	"$(($(count calls north.csv) + $(count calls east.csv) + $(count calls south.csv)))" "$(number all.db "$calls")"
expect 'calls of north' "$(count calls north.csv)" "$(number all.db "$calls AND run_id = 'north'")"
expect 'calls of east' "$(count calls east.csv)" "$(number all.db "$calls AND run_id = 'east'")"
expect 'calls of south' "$(count calls south.csv)" "$(number all.db "$calls AND run_id = 'south'")"
expect 'exit code of a merge that would count spans twice' 2 "$again"
