#!/usr/bin/env bash
# The demo: starts the collector on loopback, sends traffic to it, stops it, and
# prints what is in the file then. `make demo` builds the programs and runs this.
#
# SPANBUCKET_DEMO_DB names the file (default: demo.db), DEMO_FLAGS are passed to
# internal/demo.
set -euo pipefail
cd "$(dirname "$0")/../.."

db=${SPANBUCKET_DEMO_DB:-demo.db}
log=$(mktemp)
collector='' sender=''

stop_collector() { # ends it the way a service manager does, and waits
	[[ $collector ]] || return 0
	local code=0 pid=$collector
	collector=
	kill -TERM "$pid" 2>/dev/null || true
	wait "$pid" || code=$?
	if ((code)); then
		echo "demo: the collector ended with status $code:" >&2
		cat "$log" >&2
	fi
	return "$code"
}
clean_up() {
	[[ ! $sender ]] || kill -TERM "$sender" 2>/dev/null || true
	stop_collector || true
	rm -f "$log"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

used_ports=" "
free_port() { # sets $port to one that nothing listens on
	while :; do
		port=$((20000 + RANDOM % 12000)) # below the range that outgoing connections use
		if [[ $used_ports != *" $port "* ]] && ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			used_ports+="$port "
			return
		fi
	done
}

healthy() { # asks the health_check extension; needs neither curl nor wget
	local answer
	exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
	printf 'GET / HTTP/1.0\r\n\r\n' >&3
	IFS= read -r -t 2 answer <&3 || answer=
	exec 3>&-
	[[ $answer == *" 200 "* ]]
}

start_collector() {
	free_port && grpc=$port
	free_port && local http=$port
	free_port && local health=$port
	free_port && local metrics=$port
	SPANBUCKET_PATH=$db SPANBUCKET_GRPC=127.0.0.1:$grpc SPANBUCKET_HTTP=127.0.0.1:$http \
		SPANBUCKET_HEALTH=127.0.0.1:$health SPANBUCKET_METRICS_PORT=$metrics \
		bin/otelcol-spanbucket --config cmd/otelcol-spanbucket/config.yaml >"$log" 2>&1 &
	collector=$!
	local deadline=$((SECONDS + 30))
	until (healthy "$health") 2>/dev/null; do
		if ! kill -0 "$collector" 2>/dev/null || ((SECONDS > deadline)); then
			echo "demo: the collector did not become ready:" >&2
			cat "$log" >&2
			exit 1
		fi
		sleep 0.1
	done
	echo "collector ready: OTLP/gRPC on 127.0.0.1:$grpc, file $db"
}

show() {
	echo
	echo "\$ spanbucket $*"
	bin/spanbucket "$@"
}

# A demo file of an earlier run would mix its numbers with these.
rm -f "$db" "$db-wal" "$db-shm"

start_collector
# shellcheck disable=SC2086 # DEMO_FLAGS holds several words
bin/demo -endpoint "127.0.0.1:$grpc" ${DEMO_FLAGS:-} &
sender=$! # in the background, since bash runs traps only between commands
wait "$sender"
sender=''
stop_collector

ask() { # title, then SQL for the sqlite3 shell
	echo
	echo "$1:"
	sqlite3 -readonly -box "$db" "$2"
}

# The collector has stopped, so the youngest buckets lack nothing: no need to
# wait until they settle.
show stats --db "$db" --include-open
show latency --db "$db" --by provider,model --include-open
show timeseries --db "$db" --category llm --width 1s --include-open
show faults --db "$db"
show verify --db "$db"

if [[ $(type -P sqlite3) ]]; then
	ask 'What the fault did (fault_impact)' "
		WITH impact AS MATERIALIZED (SELECT * FROM fault_impact WHERE window_id LIKE 'injector/%')
		SELECT 'before' AS phase, printf('%.0f', requests_before) AS requests, round(100 * error_rate_before, 1) AS 'failed %',
			printf('%.0f', p50_latency_ms_before) AS p50_ms, printf('%.0f', p95_latency_ms_before) AS p95_ms,
			printf('%.0f', avg_latency_ms_before) AS avg_ms, printf('%.0f', avg_net_latency_ms_before) AS 'without injected delay'
		FROM impact UNION ALL
		SELECT 'during', printf('%.0f', requests_during), round(100 * error_rate_during, 1),
			printf('%.0f', p50_latency_ms_during), printf('%.0f', p95_latency_ms_during),
			printf('%.0f', avg_latency_ms_during), printf('%.0f', avg_net_latency_ms_during)
		FROM impact UNION ALL
		SELECT 'after', printf('%.0f', requests_after), round(100 * error_rate_after, 1),
			printf('%.0f', p50_latency_ms_after), printf('%.0f', p95_latency_ms_after),
			printf('%.0f', avg_latency_ms_after), printf('%.0f', avg_net_latency_ms_after) FROM impact"
	ask 'What people did (sessions)' "
		SELECT service, count(*) AS sessions, sum(prompts) AS turns, sum(tool_calls) AS tool_calls,
			round(sum(response_time_s * prompts) / sum(prompts), 2) AS response_s,
			round(avg(acceptance_rate), 2) AS accepted, round(sum(cost_usd), 4) AS cost_usd
		FROM sessions GROUP BY service ORDER BY service"
fi

cat <<END

The file is $db. Any SQLite tool reads it:

  sqlite3 -box $db "
    SELECT model, outcome, sum(requests) AS requests,
      round(max(p99_latency_ms)) AS worst_bucket_p99_ms
    FROM latency WHERE category = 'llm' AND width_s = 10
    GROUP BY model, outcome ORDER BY model, requests DESC"
END
