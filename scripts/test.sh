#!/usr/bin/env bash
# ./x test: what CI checks, on services of its own. Arguments go to `cargo test` (a filter, say).
#
# Every check runs even when one before it failed, so that one run shows all there is to mend.
set -uo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT" || exit 1

export RUSHGATE_STACK_DIR="$TARGET/test-stack"
# A snapshot that differs fails; it leaves no file behind.
export INSTA_UPDATE=no
REPORT="$TARGET/test-report.txt"
FAILED=()

finish() {
    scripts/stack.sh down --wipe >/dev/null 2>&1
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# check <name> <command>...: runs it and remembers its failure.
check() {
    local name="$1"
    shift
    step "$name"
    "$@" || { say "x: failed: $name"; FAILED+=("$name"); }
}

licences() {
    if command -v cargo-deny >/dev/null; then
        cargo deny --offline check bans licenses sources
    else
        say "    cargo-deny is not installed: deny.toml is not checked here (cargo install cargo-deny)"
    fi
}

# The database of advisories is fetched where that can be done: a machine without a network tests the rest all the same.
advisories() {
    command -v cargo-deny >/dev/null || { say "    cargo-deny is not installed: advisories are not looked up here"; return 0; }
    local fetched
    if fetched="$(timeout 120 cargo deny fetch db 2>&1)"; then
        cargo deny check --disable-fetch advisories
    else
        say "    left out: the database of advisories cannot be had (${fetched##*$'\n'})"
    fi
}

alarms() {
    if command -v promtool >/dev/null; then
        promtool check rules docs/prometheus-rules.yml && promtool test rules docs/prometheus-rules-test.yml
    else
        say "    promtool is not installed: the alarms are not tried here (it comes with Prometheus)"
    fi
}

# What a tool that cannot be had here would look at is left out, and said.
contract() {
    local status=0
    ./x openapi "$1" || status=$?
    [ "$status" = 75 ] || return "$status"
    say "    left out"
}

# The second time as ./x dev builds it: nothing is open to suites then, and what nothing uses shows.
lints() {
    cargo clippy --all-targets -- -D warnings &&
        cargo clippy --package rushgate --no-default-features -- -D warnings
}

guests() {
    [ -x rules/build.sh ] || die "rules/build.sh is missing"
    rules/build.sh && cargo fmt --manifest-path rules/Cargo.toml --all --check &&
        cargo clippy --manifest-path rules/Cargo.toml --all-targets -- -D warnings
}

tests() {
    # Nothing may be left out because an environment variable of the caller says so.
    unset RUSHGATE_ADMIN_TOKEN RUSHGATE_REDIS_URL RUSHGATE_KAFKA_BROKERS RUSHGATE_DATABASE_URL
    eval "$(scripts/stack.sh env)"
    cargo test --no-fail-fast "$@" 2>&1 | tee "$REPORT"
}

# Whoever moves the lines they change makes them anew.
broken_builds() {
    local each failed=0
    for each in tools/broken/*.patch; do
        patch -p1 --dry-run --silent <"$each" >&2 || { say "    $each does not fit any more"; failed=1; }
    done
    return $failed
}

# A handful of short runs: the long ones are ./x chaos.
faults() {
    scripts/stack.sh down --wipe >/dev/null 2>&1
    scripts/chaos.sh --dev --quick --attempts 5000 --rate 1000 --seed 1
}

# Reads cargo's output: a line that names the binary, then the line with its result.
table() {
    awk '
        function flush_kind() { if (kind != "" && !seen) { missing++; rows[++n] = sprintf("%-28s %8s", kind, "no result"); } }
        $1 == "Running" {
            flush_kind(); seen = 0
            kind = $2
            if (kind == "unittests") { kind = $3; sub(/^src\//, "", kind); sub(/\.rs$/, "", kind); kind = "unit (" kind ")" }
            else { sub(/^tests\//, "", kind); sub(/\/main\.rs$/, "", kind); sub(/\.rs$/, "", kind); kind = "integration (" kind ")" }
        }
        # Suites that compare engines say how many cases they compared, sometimes in the middle of a line.
        match($0, /cases: [0-9]+ /) { line = substr($0, RSTART + 7); cases += line; compared[++c] = line; next }
        $1 == "Doc-tests" { flush_kind(); seen = 0; kind = "documentation (" $2 ")" }
        /^test result:/ {
            seen = 1
            for (i = 1; i < NF; i++) {
                if ($(i + 1) == "passed;") p = $i
                if ($(i + 1) == "failed;") f = $i
                if ($(i + 1) == "ignored;") s = $i
            }
            passed += p; failed += f; ignored += s
            if (p + f + s > 0) rows[++n] = sprintf("%-28s %8d %8d %8d", kind, p, f, s)
        }
        END {
            flush_kind()
            printf "\n%-28s %8s %8s %8s\n", "tests", "passed", "failed", "skipped"
            for (i = 1; i <= n; i++) print rows[i]
            printf "\n"
            for (i = 1; i <= c; i++) print "compared: " compared[i]
            printf "compared: %d cases in all\n", cases
            printf "\n%d passed, %d failed\n", passed, failed + missing
            exit (failed + missing + ignored > 0 || passed == 0)
        }' "$REPORT"
}

need_build
need curl curl "the stories of rules/README.md speak to a gateway with it"
need node nodejs "to build rule modules in JavaScript"
need npm npm "to fetch what builds rule modules in JavaScript"
need chromium chromium "the pages of rushgate are tried in it"
need chromedriver chromium-driver "to drive Chromium"
scripts/axe.sh || die "axe-core cannot be fetched"
need patch patch "to see whether the builds that are broken on purpose still can be made"
check "Format" cargo fmt --all --check
check "Rule modules" guests
check "Lints" lints
check "Licences and sources" licences
check "Advisories" advisories
check "Alarms" alarms
scripts/stack.sh down --wipe >/dev/null 2>&1
check "Services for the tests" scripts/stack.sh up --brokers 1
check "Tests" tests "$@"
check "Broken builds" broken_builds
check "Surface" ./x surface --dev --check
check "Contract: breaking changes" contract --breaking
check "Contract: tried" contract --fuzz
check "Faults under load" faults

if [ ${#FAILED[@]} -gt 0 ]; then
    printf '\n'
    printf 'failed: %s\n' "${FAILED[@]}"
fi
table
counted=$?
[ ${#FAILED[@]} = 0 ] && [ "$counted" = 0 ]
