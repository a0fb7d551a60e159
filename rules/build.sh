#!/bin/sh
# Builds every rule of this workspace into rules/dist/<name>.wasm. Run it as often as you like: what is
# installed is not installed again, what did not change is not built again.
set -eu
cd "$(dirname "$0")"

TARGET=wasm32-unknown-unknown
DEBIAN_PACKAGES="rustc-web cargo-web rust-web-src"

say() { printf 'rules: %s\n' "$*"; }
fail() { printf 'rules: %s\n' "$*" >&2; exit 1; }

# The compiler on PATH (rustup's, as a rule) can build for WebAssembly at once when it has the target's core.
has_target() {
    command -v cargo >/dev/null && libdir=$(rustc --print target-libdir --target "$TARGET" 2>/dev/null) &&
        [ -d "$libdir" ]
}

# Debian's compiler cannot either, but comes with the source of core and alloc, and builds them along.
has_debian() {
    [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] &&
        [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/core" ]
}

install() {
    command -v apt-get >/dev/null || fail "no Rust for $TARGET here: run 'rustup target add $TARGET' and try again"
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "installing $* needs root: run this as root, or 'rustup target add $TARGET'"
        as_root=sudo
    fi
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >/dev/null ||
        { $as_root apt-get update >/dev/null &&
            $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >/dev/null; }
}

# The linker: the one of the Rust toolchain on PATH, otherwise LLVM's.
find_linker() {
    if command -v rustc >/dev/null; then
        host=$(rustc -vV | sed -n 's/^host: //p')
        linker="$(rustc --print sysroot)/lib/rustlib/$host/bin/rust-lld"
        [ -x "$linker" ] && return
    fi
    linker=$(command -v wasm-ld || command -v rust-lld || true)
    [ -n "$linker" ]
}

build() {
    if has_target; then
        cargo build --release --locked --target "$TARGET" "$@"
        return
    fi
    if ! has_debian; then
        say "installing $DEBIAN_PACKAGES: a Rust compiler with the source of its core library, to build for WebAssembly"
        # shellcheck disable=SC2086 # a list of packages
        install $DEBIAN_PACKAGES
        has_debian || fail "the packages came without the library source: run 'rustup target add $TARGET' instead"
    fi
    if ! find_linker; then
        say "installing lld: the linker for WebAssembly"
        install lld
        find_linker || fail "no linker for WebAssembly found"
    fi
    # -Zbuild-std is open only to nightly compilers, and to those who say that they know.
    env RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linker" \
        RUSTFLAGS="-Zlocation-detail=none" \
        /usr/bin/cargo build --release --locked --target "$TARGET" -Zbuild-std=core,alloc "$@"
}

# Core module to component. The copy of what was wrapped last tells whether it must be done again.
wrap() {
    core="target/$TARGET/release/$(echo "$1" | tr - _).wasm"
    last="target/wrapped/$1.wasm"
    if [ -f "dist/$1.wasm" ] && cmp -s "$core" "$last"; then
        return
    fi
    cargo run --quiet --locked --manifest-path ../Cargo.toml --example wrap_module -- "$core" "dist/$1.wasm"
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
build $packages
mkdir -p dist
for name in $rules; do
    # The program that wraps has every rule built in: a new one stands there empty until it is wrapped.
    [ -f "dist/$name.wasm" ] || : >"dist/$name.wasm"
done
for name in $rules; do
    wrap "$name"
    say "dist/$name.wasm, $(wc -c <"dist/$name.wasm") bytes"
done
