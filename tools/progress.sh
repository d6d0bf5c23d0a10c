#!/usr/bin/env bash
# Runs a go command that names the packages it works on (-v) and shows them as
# one line instead of a thousand. A cold build takes minutes: silence looks like
# a hang. Whatever is not the name of a package or a download is passed on.
#
#   tools/progress.sh WHAT go build -v ...
set -uo pipefail

what=$1
shift
begin=$SECONDS packages=0 downloads=0
terminal=
[[ -t 1 ]] && terminal=yes

show() {
	local line="building $what: $packages packages compiled, $downloads modules downloaded, $((SECONDS - begin)) s"
	if [[ $terminal ]]; then
		printf '\r\033[K%s' "$line"
	elif (((packages + downloads) % 100 == 0)); then
		echo "$line"
	fi
}

[[ $terminal ]] || echo "building $what"
while IFS= read -r line; do
	case $line in
	"go: downloading "*) downloads=$((downloads + 1)) && show ;;
	*[[:space:]]*) printf '%s%s\n' "${terminal:+$'\r\033[K'}" "$line" >&2 ;;
	?*) packages=$((packages + 1)) && show ;;
	esac
done < <("$@" 2>&1)
wait $!
code=$?
printf '%s' "${terminal:+$'\r\033[K'}"
if ((code == 0)); then echo "built $what: $((SECONDS - begin)) s"; fi
exit "$code"
