#!/usr/bin/env bash
# A gate in CI: see README.md.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../collector.sh
source "$(dirname "$0")/../collector.sh"
cp "$example/thresholds.yaml" .

start_collector ci.db
show spanbucket stress --otlp "$grpc" --insecure --preset gentle --users 8 --spawn-rate 100 --duration 3s \
	--think 0.05 --run baseline --quiet
# The candidate is the same client, but the fake model refuses most of what it asks:
# then few calls succeed, or none, which stress tells with an exit code of its own.
show spanbucket stress --otlp "$grpc" --insecure --preset stress_extreme --users 8 --spawn-rate 100 --duration 2s \
	--think 0.05 --run candidate --quiet || (($? == 1))
stop_collectors

baseline=0 candidate=0
show spanbucket check --db ci.db --run baseline --thresholds thresholds.yaml --junit baseline.xml --include-open || baseline=$?
show spanbucket check --db ci.db --run candidate --thresholds thresholds.yaml --junit candidate.xml --include-open || candidate=$?

echo
expect 'exit code for the baseline' 0 "$baseline"
expect 'exit code for the candidate' 1 "$candidate"
expect 'failures in baseline.xml' 0 "$(grep -c '<failure' baseline.xml || true)"
expect 'failures of error_rate in candidate.xml' 1 "$(grep -c '<failure message="fail: error_rate' candidate.xml || true)"
