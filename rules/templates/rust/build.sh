#!/bin/sh
# Builds this module into dist/NAME.wasm. `rushgate module build` calls it and makes a component of what it built; an
# upload does the same, so the file can be pushed either way.
set -eu
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./guest.sh

name=$(sed -n 's/^name = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
build
mkdir -p dist
cp "$(core_module "$name")" "dist/$name.wasm"
