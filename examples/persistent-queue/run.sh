#!/usr/bin/env bash
# A queue that outlives the collector: see README.md. Needs sqlite3.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../collector.sh
source "$(dirname "$0")/../collector.sh"

calls="SELECT coalesce(sum(requests), 0) FROM latency WHERE category IN ('llm', 'embedding') AND width_s = 10"

start_collector queue.db

# Another program begins to write, and does not end: the collector has to wait.
mkfifo commands answers
sqlite3 queue.db <commands >answers &
locker=$!
exec 5>commands 6<answers
echo "BEGIN IMMEDIATE; SELECT 'locked';" >&5
IFS= read -r -t 30 _ <&6

show spanbucket stress --otlp "$grpc" --insecure --preset silent --users 8 --spawn-rate 100 --duration 2s \
	--think 0.05 --run night --quiet --format csv | tee app.csv
while_locked=$(number queue.db "$calls")

# The collector is killed while the queue holds all of it; then the lock goes.
kill_now "$collector"
collectors=()
kill_now "$locker"
exec 5>&- 6<&-

start_collector queue.db
deadline=$((SECONDS + 30))
until [[ $(number queue.db "$calls") == "$(count calls app.csv)" ]] || ((SECONDS > deadline)); do
	sleep 0.2
done
stop_collectors

show spanbucket verify --db queue.db
show spanbucket stats --db queue.db --include-open

echo
expect 'calls in the file while it was locked' 0 "$while_locked"
expect 'calls in the file, as the application counts them' "$(count calls app.csv)" "$(number queue.db "$calls")"
