#!/usr/bin/env bash
# ./x chaos: faults under load on services of its own; docs/CHAOS.md says what is checked.
#
# --dev takes the development build; --broken NAME a copy of the sources that is broken on purpose, which the
# checker must find. Everything else goes to the driver: --help lists it.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

export RUSHGATE_STACK_DIR="$TARGET/chaos-stack"
BROKEN_DIR="$ROOT/tools/broken"
# Room for a run's rows, and small enough to be filled.
DATABASE_SIZE=3g
PROFILE=release BROKEN='' REST=()

while [ $# -gt 0 ]; do
    case "$1" in
        --dev) PROFILE=dev; shift ;;
        --broken) BROKEN="${2:-}"; shift 2 ;;
        --broken=*) BROKEN="${1#*=}"; shift ;;
        *) REST+=("$1"); shift ;;
    esac
done

case "$PROFILE" in release) OUT="$TARGET/release" ;; *) OUT="$TARGET/debug" ;; esac

# The scenarios in which a broken build must show: the patch names them in its first line, `only: a,b`.
exposing() { sed -n '1s/^only: //p' "$1"; }

# build_broken <name>: applies its patch to a copy of the sources; prints the path of the binary.
build_broken() {
    local patch="$BROKEN_DIR/$1.patch" copy="$TARGET/broken/$1"
    rm -rf "$copy" && mkdir -p "$copy/tree"
    git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- -cf - | tar -xf - -C "$copy/tree"
    patch -d "$copy/tree" -p1 --silent <"$patch" >&2 || die "$patch does not fit these sources any more: make it anew"
    # The dependencies are this checkout's, and built already. A version of its own tells its artefacts from the
    # checkout's: cargo does not look at where a package lies.
    sed -i "0,/^version = /s/^version = .*/version = \"0.0.0-broken-$1\"/" "$copy/tree/Cargo.toml"
    (cd "$copy/tree" && CARGO_TARGET_DIR="$TARGET" cargo build --profile "$PROFILE" --bin rushgate >&2) ||
        die "$patch does not compile any more: make it anew"
    cp "$OUT/rushgate" "$copy/rushgate"
    # The driver writes its logs beside what it is told to run, in folders of cargo's alone.
    cp "$TARGET/.rustc_info.json" "$TARGET/broken/"
    cargo build --profile "$PROFILE" --bin rushgate >&2
    echo "$copy/rushgate"
}

need_build
if [ -n "$BROKEN" ]; then
    [ -e "$BROKEN_DIR/$BROKEN.patch" ] ||
        die "no broken build '$BROKEN': $(cd "$BROKEN_DIR" && ls -- *.patch | sed 's/\.patch$//' | tr '\n' ' ')"
    need patch patch "to break a copy of the sources"
fi
step "Building ($PROFILE)"
cargo build --profile "$PROFILE" --bin rushgate --bin chaos --bin check
case " ${REST[*]-} " in *" --help "* | *" -h "* | *" --list "*) exec "$OUT/chaos" ${REST[@]+"${REST[@]}"} ;; esac

BINARY="$OUT/rushgate"
if [ -n "$BROKEN" ]; then
    step "Building $BROKEN, which is broken on purpose"
    BINARY="$(build_broken "$BROKEN")"
    REST=(--expect-wrong --only "$(exposing "$BROKEN_DIR/$BROKEN.patch")" ${REST[@]+"${REST[@]}"})
fi
trap 'scripts/stack.sh down --wipe' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
scripts/stack.sh down --wipe 2>/dev/null
scripts/stack.sh up --brokers 3 --proxied --database-tmpfs "$DATABASE_SIZE"
eval "$(scripts/stack.sh env)"
"$OUT/chaos" --rushgate "$BINARY" --check "$OUT/check" ${REST[@]+"${REST[@]}"}
