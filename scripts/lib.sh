# Shared by ./x and its helpers: messages, privileges, packages, free ports. Sourced, not run.

# shellcheck shell=bash
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
TARGET="${CARGO_TARGET_DIR:-$ROOT/target}"
# Rust from rustup is not on the PATH of a non-login shell.
case ":$PATH:" in *":$HOME/.cargo/bin:"*) ;; *) [ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH" ;; esac
# mariadbd lives in sbin, which a plain user's PATH leaves out on Debian.
PATH="$PATH:/usr/sbin:/sbin"

say() { printf '%s\n' "$*" >&2; }
step() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf 'x: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else die "this needs root, and there is no sudo: run as root: $*"
    fi
}

# install <why> <package>...: installs Debian packages without letting their services start.
install() {
    local why="$1" policy=/usr/sbin/policy-rc.d made=''
    shift
    command -v apt-get >/dev/null || die "please install $* ($why); this script can do it only with apt-get"
    step "Installing $* ($why)"
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        made=yes
    fi
    if ! apt_install "$@"; then
        as_root apt-get update -q >&2 && apt_install "$@" || { [ -z "$made" ] || as_root rm -f "$policy"; die "could not install $*"; }
    fi
    [ -z "$made" ] || as_root rm -f "$policy"
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2
}

# need <command> <package> <why>: installs the package when the command is missing.
need() { command -v "$1" >/dev/null || install "$3" "$2"; }

# The version line may follow a note about JAVA_TOOL_OPTIONS.
java_major() { java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p'; }

need_java() {
    command -v java >/dev/null && [ "$(java_major)" -ge 17 ] 2>/dev/null && return
    local package
    for package in openjdk-17-jre-headless openjdk-21-jre-headless default-jre-headless; do
        apt-cache show "$package" >/dev/null 2>&1 && break
    done
    install "Kafka 4 runs on Java 17 or newer" "$package"
    [ "$(java_major)" -ge 17 ] || die "java is version $(java_major), Kafka 4 needs 17: see update-alternatives --config java"
}

need_rust() {
    local wanted have
    if ! command -v cargo >/dev/null; then
        need curl curl "to fetch the Rust toolchain"
        step "Installing Rust with rustup into ~/.cargo (no cargo was found)"
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile default >&2 || die "rustup failed"
        PATH="$HOME/.cargo/bin:$PATH"
    fi
    wanted="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")"
    have="$(cargo --version | cut -d' ' -f2 | cut -d- -f1)"
    if [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -1)" != "$wanted" ]; then
        die "cargo is $have, rushgate needs $wanted: rustup update stable"
    fi
}

# What building the binary needs beside Rust: a C compiler for Lua, SQLite, librdkafka, jemalloc and OpenSSL, whose build is
# written in Perl.
need_build() {
    local missing=()
    command -v cc >/dev/null && command -v make >/dev/null && command -v g++ >/dev/null || missing+=(build-essential)
    command -v pkg-config >/dev/null || missing+=(pkg-config)
    # The compiler knows where headers are; on macOS not in /usr/include.
    echo '#include <zlib.h>' | cc -E - >/dev/null 2>&1 || missing+=(zlib1g-dev)
    perl -MIPC::Cmd -MFindBin -MTime::Piece -e 1 2>/dev/null || missing+=(perl)
    [ ${#missing[@]} = 0 ] || install "Lua, SQLite, librdkafka and OpenSSL are compiled from C" "${missing[@]}"
    need_rust
}

# free_ports <n>: n different free ports of the loopback, below the range of outgoing connections.
free_ports() {
    perl -MIO::Socket::INET -e '
        my @held;
        while (@held < $ARGV[0]) {
            my $port = 20000 + int(rand(12000));
            my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1", LocalPort => $port) or next;
            push @held, $s;
            print "$port\n";
        }' "$1"
}
