#!/bin/sh
# Builds every rule of this workspace into rules/dist/<name>.wasm. Run it as often as you like: what is
# installed is not installed again, what did not change is not built again.
set -eu
cd "$(dirname "$0")"
INSTALL=yes
# shellcheck source=guest.sh
. ./guest.sh

# Core module to component. The copy of what was wrapped last tells whether it must be done again.
wrap() {
    core=$(core_module "$1")
    last="target/wrapped/$1.wasm"
    if [ -f "dist/$1.wasm" ] && cmp -s "$core" "$last"; then
        return
    fi
    cargo run --quiet --locked --manifest-path ../Cargo.toml --bin rushgate -- module wrap "$core" --output "dist/$1.wasm"
    mkdir -p target/wrapped
    cp "$core" "$last"
}

rules=
packages=
for manifest in */Cargo.toml; do
    name=${manifest%/Cargo.toml}
    [ "$name" = sdk ] && continue
    rules="$rules $name"
    packages="$packages -p $name"
done

# shellcheck disable=SC2086 # a list of options
build --locked $packages
mkdir -p dist
for name in $rules; do
    # The program that wraps has every rule built in: a new one stands there empty until it is wrapped.
    [ -f "dist/$name.wasm" ] || : >"dist/$name.wasm"
done
for name in $rules; do
    wrap "$name"
    say "dist/$name.wasm, $(wc -c <"dist/$name.wasm") bytes"
done
