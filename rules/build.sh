#!/bin/sh
# Builds every rule of this workspace into rules/dist/<name>.wasm. Run it as often as you like: what is
# installed is not installed again, what did not change is not built again.
set -eu
cd "$(dirname "$0")"
INSTALL=yes
# shellcheck source=guest.sh
. ./guest.sh

# Core module to component. Copies of what was wrapped last, and of what came of it, tell whether it must be done again. A
# component that is there already is left alone: the program has it built in, and would be built again for it.
wrap() {
    core=$(core_module "$1")
    last="target/wrapped/$1"
    if cmp -s "$core" "$last.core.wasm" && cmp -s "$last.wasm" "dist/$1.wasm"; then
        return
    fi
    make_program
    mkdir -p target/wrapped
    "$program" module wrap "$core" --output "$last.wasm"
    cmp -s "$last.wasm" "dist/$1.wasm" || cp "$last.wasm" "dist/$1.wasm"
    cp "$core" "$last.core.wasm"
}

# The program that wraps, made once: what it wraps changes nothing about how it does that.
program=
make_program() {
    [ -z "$program" ] || return 0
    cargo build --quiet --locked --manifest-path ../Cargo.toml --bin rushgate
    program="${CARGO_TARGET_DIR:-../target}/debug/rushgate"
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
