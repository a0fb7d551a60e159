#!/usr/bin/env bash
# Fetches axe-core, which the tests hold the console's pages against, into the target folder.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

AXE=4.14.1
DIR="$TARGET/axe"

[ -e "$DIR/node_modules/axe-core/axe.min.js" ] && exit 0
need npm npm "to fetch axe-core, which looks for what people cannot read or reach"
mkdir -p "$DIR"
npm install --prefix "$DIR" --no-save --no-audit --no-fund --ignore-scripts --silent "axe-core@$AXE"
