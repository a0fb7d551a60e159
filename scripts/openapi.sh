#!/usr/bin/env bash
# ./x openapi: the contracts of both planes. Without a flag: writes the files that are made of them.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

OASDIFF=v1.38.0
SCHEMATHESIS=4.32.5
# Of what schemathesis sends: the same on every run.
SEED=19
# Requests of one operation.
EXAMPLES="${RUSHGATE_FUZZ_EXAMPLES:-12}"

# Exit code 75: what is needed cannot be had here. `./x test` leaves the check out, and says so.
cannot() {
    say "x: $1"
    exit 75
}

# A client of the release before goes on: nothing it sends is refused anew, and nothing it reads is gone.
breaking() {
    local bin="$TARGET/openapi/oasdiff" plane failed=0
    if ! [ -x "$bin" ]; then
        command -v go >/dev/null || cannot "contracts are compared by oasdiff $OASDIFF, which Go builds, and there is none"
        GOBIN="$TARGET/openapi" go install "github.com/oasdiff/oasdiff@$OASDIFF" || cannot "oasdiff $OASDIFF cannot be built"
    fi
    for plane in orders admin; do
        step "Breaking changes of $plane"
        # The tokens of before have every scope that they need: a route that names one breaks nobody.
        "$bin" breaking --fail-on ERR --severity-levels scripts/oasdiff-severity.txt "docs/openapi/released/$plane.json" "docs/openapi/$plane.json" || failed=1
    done
    return $failed
}

# What a running `rushgate dev` answers to what the contract allows, and to what it does not.
fuzz() {
    need python3 python3 "to run schemathesis, which tries the contract out"
    need_build
    local venv="$TARGET/openapi/schemathesis" work="$TARGET/openapi/fuzz" plane failed=0
    if ! [ -x "$venv/bin/schemathesis" ]; then
        python3 -c 'import ensurepip' 2>/dev/null || install "to run schemathesis, which tries the contract out" python3-venv
        python3 -m venv "$venv" && "$venv/bin/pip" install --quiet "schemathesis==$SCHEMATHESIS" || {
            rm -rf "$venv"
            cannot "schemathesis $SCHEMATHESIS cannot be installed"
        }
    fi
    step "Building"
    cargo build --bin rushgate --bin openapi
    rm -rf "$work" && mkdir -p "$work"
    for plane in orders admin; do
        "$TARGET/debug/openapi" --closed "$plane" >"$work/$plane.json"
    done
    # One address asks all of it.
    printf '[admin]\nrequests_per_second = 100000\n' >"$work/rushgate.toml"
    RUSHGATE_ADMIN_TOKEN=fuzz "$TARGET/debug/rushgate" dev --config "$work/rushgate.toml" --data "$work/data" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 >"$work/dev.log" 2>&1 &
    local dev=$!
    # shellcheck disable=SC2064
    trap "kill $dev 2>/dev/null; wait $dev 2>/dev/null" EXIT
    until grep -q '^  control ' "$work/dev.log" 2>/dev/null; do
        kill -0 "$dev" 2>/dev/null || { cat "$work/dev.log" >&2; die "rushgate dev ended"; }
        sleep 0.2
    done
    local orders admin
    orders="$(sed -n 's/^  orders *\(http:[^ ]*\).*/\1/p' "$work/dev.log" | head -n 1)"
    admin="$(sed -n 's/^  control *\(http:[^ ]*\).*/\1/p' "$work/dev.log" | head -n 1)"
    step "Trying the contract of orders"
    tried orders "$orders" -H 'Authorization: Bearer dev:ada' || failed=1
    step "Trying the contract of the control plane"
    tried admin "$admin" -H 'Authorization: Bearer fuzz' || failed=1
    if grep -E 'panicked|ERROR' "$work/dev.log" >&2; then failed=1; fi
    return $failed
}

tried() {
    local plane="$1" url="$2"
    shift 2
    (cd "$TARGET/openapi/fuzz" && PYTHONHASHSEED=0 "$TARGET/openapi/schemathesis/bin/schemathesis" --config-file "$ROOT/scripts/schemathesis.toml" \
        run "$plane.json" --url "$url" --seed "$SEED" --max-examples "$EXAMPLES" "$@")
}

case "${1:-}" in
    --breaking) breaking ;;
    --fuzz) fuzz ;;
    '' | --check) need_build; cargo run --quiet --bin openapi -- "$@" ;;
    *) die "./x openapi takes --check, --breaking or --fuzz" ;;
esac
