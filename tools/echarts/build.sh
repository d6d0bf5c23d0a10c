#!/usr/bin/env bash
# Makes the charts library of the report, report/page/echarts, from the packages
# that package-lock.json names: Apache ECharts with only the charts and
# components that entry.js names. The bytes are the same wherever it is run. To
# renew it, change the version in package.json, run
#
#   cd tools/echarts && npm install --package-lock-only && ./build.sh
#
# and look at the page in both themes.
set -euo pipefail
cd "$(dirname "$0")"

into=../../report/page/echarts
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp package.json package-lock.json entry.js "$work"
cd "$work"
npm ci --no-audit --no-fund --silent
cd - >/dev/null

version() { node -p "require('$work/node_modules/$1/package.json').version"; }
banner="/*! Apache ECharts $(version echarts) (Apache-2.0) with zrender $(version zrender) (BSD-3-Clause) and tslib $(version tslib) (0BSD), in part */"
(cd "$work" && npx --no-install esbuild entry.js --bundle --minify --format=iife --global-name=echarts --target=es2020 \
	--charset=ascii --legal-comments=none --banner:js="$banner" --log-level=warning --outfile=echarts.min.js)

mkdir -p "$into"
cp "$work/echarts.min.js" "$work/node_modules/echarts/NOTICE" "$into"
{
	cat "$work/node_modules/echarts/LICENSE"
	for part in "d3.js:echarts/licenses/LICENSE-d3" "zrender:zrender/LICENSE" "tslib:tslib/LICENSE.txt"; do
		printf '\n========================================================================\n%s:\n\n' "${part%%:*}"
		cat "$work/node_modules/${part#*:}"
	done
} | sed 's/\r$//; s/[ \t]*$//' >"$into/LICENSE"
(cd "$into" && sha256sum echarts.min.js LICENSE NOTICE | tee SHA256SUMS)
