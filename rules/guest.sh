#!/bin/sh
# Builds crates for WebAssembly, whatever Rust there is. Sourced by build.sh, which says with INSTALL=yes whether packages
# that are missing may be installed.
# shellcheck shell=sh

TARGET=wasm32-unknown-unknown
DEBIAN_PACKAGES="rustc-web cargo-web rust-web-src"

say() { printf 'build: %s\n' "$*"; }
fail() { printf 'build: %s\n' "$*" >&2; exit 1; }

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
    [ "${INSTALL:-no}" = yes ] || fail "cannot build for WebAssembly yet: run 'rustup target add $TARGET', or 'apt-get install $*'"
    command -v apt-get >/dev/null || fail "no Rust for $TARGET here: run 'rustup target add $TARGET' and try again"
    say "installing $*"
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

# build <option>...: cargo build, optimised, for WebAssembly.
build() {
    # Incremental builds cut the code elsewhere, and make other bytes of the same source.
    export CARGO_INCREMENTAL=0
    if has_target; then
        cargo build --release --target "$TARGET" "$@"
        return
    fi
    if ! has_debian; then
        # A Rust compiler with the source of its core library.
        # shellcheck disable=SC2086 # a list of packages
        install $DEBIAN_PACKAGES
        has_debian || fail "the packages came without the library source: run 'rustup target add $TARGET' instead"
    fi
    if ! find_linker; then
        install lld
        find_linker || fail "no linker for WebAssembly found"
    fi
    # -Zbuild-std is open only to nightly compilers, and to those who say that they know.
    env RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linker" \
        RUSTFLAGS="-Zlocation-detail=none" \
        /usr/bin/cargo build --release --target "$TARGET" -Zbuild-std=core,alloc "$@"
}

# core_module <package>: the file that build makes of it.
core_module() {
    printf '%s/%s/release/%s.wasm\n' "${CARGO_TARGET_DIR:-target}" "$TARGET" "$(echo "$1" | tr - _)"
}
