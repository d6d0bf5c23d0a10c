# What the run.sh of every example needs: a folder to work in, free ports,
# collectors that are stopped in the end, and an answer that is checked.
#
#   run.sh [FOLDER]
#
# FOLDER, new or empty, keeps the files; without it they are gone when the example
# ends. The programs are those of `make build`; SPANBUCKET_BIN names another folder
# of them. Needs bash 5.
#
# shellcheck shell=bash
set -euo pipefail
export LC_ALL=C # the length of a text is in bytes, and numbers have points

example=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd) # the folder of run.sh
programs=${SPANBUCKET_BIN:-$example/../../bin}
if [[ ! -x $programs/otelcol-spanbucket || ! -x $programs/spanbucket ]]; then
	echo "$programs: the programs are not there; make build makes them" >&2
	exit 2
fi
programs=$(cd "$programs" && pwd)
PATH=$programs:$PATH
collectors=() # process ids
temporary=
exec 3>&1 # where commands are shown

if [[ ${1:-} ]]; then
	mkdir -p "$1"
	cd "$1"
	if compgen -G '*' >/dev/null; then
		echo "$1: must be a new or an empty folder" >&2
		exit 2
	fi
else
	temporary=$(mktemp -d)
	cd "$temporary"
fi

clean_up() {
	local code=$? pid
	trap - EXIT
	for pid in $(jobs -p) "${collectors[@]}"; do
		kill -KILL "$pid" 2>/dev/null || true
	done
	{ wait; } 2>/dev/null
	if ((code && code < 128)) && compgen -G '*.log' >/dev/null; then
		tail -n 5 ./*.log >&2
	fi
	[[ ! $temporary ]] || rm -rf "$temporary"
	exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Examples that run side by side have different process ids, so different ports.
port=$((20000 + $$ % 750 * 16)) # below the range that outgoing connections use
free_port() { # sets $port to the next one that nothing listens on
	port=$((port + 1))
	while listening "$port"; do
		port=$((port + 1))
	done
}

listening() { # whether something does on the port
	(: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# start_collector FILE starts the collector of this example on free ports; it
# writes FILE. Sets $collector to its process id, $grpc and $http to its addresses.
start_collector() {
	free_port && grpc=127.0.0.1:$port
	free_port && http=127.0.0.1:$port
	SPANBUCKET_PATH=$1 SPANBUCKET_GRPC=$grpc SPANBUCKET_HTTP=$http \
		otelcol-spanbucket --config "$example/collector.yaml" >>"${1%.db}.log" 2>&1 3>&- &
	collector=$!
	collectors+=("$collector")
	local deadline=$((SECONDS + 30))
	until listening "${grpc#*:}" && listening "${http#*:}"; do
		if ! kill -0 "$collector" 2>/dev/null || ((SECONDS > deadline)); then
			echo "the collector did not become ready" >&2
			exit 1
		fi
		sleep 0.05
	done
}

# kill_now PID ends a program without giving it a chance to do anything.
kill_now() {
	kill -KILL "$1"
	{ wait "$1" || true; } 2>/dev/null
}

# stop_collectors ends all of them the way a service manager does.
stop_collectors() {
	local pid code=0
	for pid in "${collectors[@]}"; do
		kill -TERM "$pid"
	done
	for pid in "${collectors[@]}"; do
		wait "$pid" || code=$?
	done
	collectors=()
	return "$code"
}

show() { # a command, and what it says
	printf '\n$ %s\n' "$*" >&3
	"$@"
}

# post JSON sends spans to the collector at $http, as any exporter of OTLP/HTTP does.
# The shell has what it takes; curl need not be there.
post() {
	local answer
	exec 4<>"/dev/tcp/${http%:*}/${http#*:}"
	printf 'POST /v1/traces HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' "${#1}" "$1" >&4
	IFS= read -r -t 10 answer <&4
	exec 4>&-
	[[ $answer == *" 200 "* ]] || { echo "the collector refused spans: $answer" >&2 && exit 1; }
}

now_ns() { # the time in nanoseconds since 1970
	echo "${EPOCHREALTIME/./}000"
}

id() { # BYTES: a random id in hexadecimal digits
	local digits=
	while ((${#digits} < 2 * $1)); do
		digits+=$(printf '%04x' "$RANDOM")
	done
	echo "$digits"
}

number() { # FILE SQL: the only number of an answer
	spanbucket query --db "$1" --format csv "$2" | sed 1d
}

# count NAME FILE: a number that spanbucket stress --format csv has written.
count() {
	sed -n "s/^$1,//p" "$2"
}

expect() { # WHAT WANTED FOUND
	if [[ $2 != "$3" ]]; then
		echo "WRONG: $1: $3 instead of $2" >&2
		exit 1
	fi
	echo "as expected: $1: $3"
}
