#!/usr/bin/env bash
# Regenerates what metadata.yaml and the collector's builder-config.yaml say.
#
#   tools/generate.sh          write the files
#   tools/generate.sh --check  name the files that are out of date, and fail
#
# Both tools run in a scratch folder and the result is compared or copied, so
# nothing depends on what the checkout is called: mdatagen names the package of
# the tests it writes after the folder that metadata.yaml lies in.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
mode=${1:-write}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

export CGO_ENABLED=0 GOWORK=off

tool() { # tool NAME ARGS... at the version that tools/go.mod pins
	local name=$1
	shift
	go -C "$root/tools" tool "$name" "$@"
}

# component leaves mdatagen's files in $component.
component=$scratch/component/spanbucketexporter
generate_component() {
	mkdir -p "$component"
	cp "$root/metadata.yaml" "$root/README.md" "$component/"
	# mdatagen asks the go command for the import path of the folder.
	printf 'module github.com/spanbucket/spanbucketexporter\n\ngo 1.26.0\n' >"$component/go.mod"
	printf 'package spanbucketexporter\n' >"$component/stub.go"
	tool mdatagen "$component/metadata.yaml"
	rm "$component/stub.go" "$component/go.mod" "$component/metadata.yaml"
	chmod -R u=rwX,go=rX "$component"
}

# generate_collector leaves OCB's sources in $collector.
collector=$scratch/collector
generate_collector() {
	mkdir -p "$collector"
	# A copy of the list with its paths made absolute: the tool runs elsewhere.
	sed "s#path: \.\./\.\.\$#path: $root#; s#output_path: .*#output_path: $collector#" \
		"$root/cmd/otelcol-spanbucket/builder-config.yaml" >"$scratch/builder-config.yaml"
	# Sources only: go.mod is kept by hand, so that `go mod tidy` cannot raise a version.
	tool builder --config "$scratch/builder-config.yaml" --skip-compilation --skip-get-modules \
		2>"$scratch/builder.log" || { cat "$scratch/builder.log" >&2; exit 1; }
	gofmt -w "$collector"
}

stale=0
deliver() { # deliver FROM TO: every file below FROM belongs at the same place below TO
	local file label=${2#"$root"}
	label=${label#/}${label:+/}
	while IFS= read -r file; do
		cmp -s "$1/$file" "$2/$file" && continue
		if [[ $mode == --check ]]; then
			echo "out of date: $label$file" >&2
			diff -u "$2/$file" "$1/$file" >&2 || true
			stale=1
		else
			mkdir -p "$(dirname "$2/$file")"
			cp "$1/$file" "$2/$file"
			echo "wrote $label$file"
		fi
	done < <(cd "$1" && find . -type f | sed 's#^\./##' | sort)
}

generate_component
generate_collector
deliver "$component" "$root"
deliver "$collector" "$root/cmd/otelcol-spanbucket"

if ((stale)); then
	echo "run 'make generate' and commit the result" >&2
	exit 1
fi
