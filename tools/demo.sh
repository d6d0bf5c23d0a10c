#!/usr/bin/env bash
# The demo: loads a fake model on loopback for half a minute, with faults in the
# middle third, and shows what the file says then. `make demo` builds the
# programs and runs this.
#
# DEMO_DURATION is how long the load lasts, DEMO_FOLDER where demo.db and
# demo.html come to lie (default: 36s, the root of the checkout).
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${DEMO_FOLDER:-.}
db=$folder/demo.db report=$folder/demo.html
[[ $folder != . ]] || db=demo.db report=demo.html

show() {
	echo
	echo "\$ spanbucket $*"
	bin/spanbucket "$@"
}

# A demo file of an earlier run would mix its numbers with these.
rm -f "$db" "$db-wal" "$db-shm"

# 1: a chaos test failed, which says so; there is a file and a report all the
# same.
status=0
show stress --db "$db" --run demo --mode full --preset chaos --duration "${DEMO_DURATION:-36s}" \
	--users 200 --spawn-rate 50 --seed 1 --report "$report" || status=$?
((status <= 1)) || exit "$status"

# The collector has stopped, so the youngest buckets lack nothing: no need to
# wait until they settle.
show errors --db "$db" --include-open
show stats --db "$db" --include-open
show usage --db "$db" --by model --include-open
show verify --db "$db"

cat <<END

The file is $db. Any SQLite tool reads it:

  sqlite3 -readonly -box $db "
    SELECT model, outcome, sum(requests) AS requests,
      round(max(p99_latency_ms)) AS worst_bucket_p99_ms
    FROM latency WHERE category = 'llm' AND width_s = 10
    GROUP BY model, outcome ORDER BY model, requests DESC"

The fault, what it did and the recovery, in a browser:

  $([[ $report == /* ]] && echo "$report" || echo "$PWD/$report")
END
exit "$status"
