#!/usr/bin/env bash
# Makes sure that a program is there, from Debian's packages when it may.
#
#   tools/need.sh PROGRAM PACKAGE...
set -euo pipefail

program=$1
shift
if command -v "$program" >/dev/null; then
	exit 0
fi
if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
	echo "installing $* for $program"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends "$@"
	command -v "$program" >/dev/null
	exit
fi
echo "$program is missing: install it (on Debian and Ubuntu: apt-get install $*) and try again" >&2
exit 1
