#!/usr/bin/env bash
# ./x fuzz MINUTES [TARGET]: fuzzes one target, or all of them one after another, with libFuzzer.
#
# What it finds new goes into target/fuzz/found/<target>; a crash into target/fuzz/crashes/<target>, with what to do about it.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

FUZZ="$ROOT/tests/fuzz"
WORK="$TARGET/fuzz"
ALL=(plan event answer descriptor reply)
# Bytes of an input; a larger one says nothing new. Seconds after which one input counts as a hang.
MAX_LEN=4096
HANG_SECONDS=20

usage() {
    cat >&2 <<'USAGE'
./x fuzz MINUTES [TARGET]      fuzz for so many minutes in all; without a target every one gets its share
./x fuzz --replay FILE TARGET  run one input, such as a crash
./x fuzz --keep [TARGET]       take what was found into tests/fuzz/corpus, as few inputs as cover the same
targets: plan event answer descriptor reply
USAGE
    exit 2
}

build() {
    need_build
    step "Building the fuzz targets (a few minutes the first time)"
    RUSTC_WRAPPER="$ROOT/scripts/fuzz-rustc.sh" cargo build --manifest-path "$FUZZ/Cargo.toml" --target-dir "$WORK" \
        --locked --bins
}

binary() { echo "$WORK/debug/$1"; }

check_target() {
    local target
    for target in "${ALL[@]}"; do [ "$target" = "$1" ] && return; done
    usage
}

# fuzz <target> <seconds>
fuzz() {
    local target="$1" seconds="$2" found="$WORK/found/$1" crashes="$WORK/crashes/$1" log="$WORK/$1.log" before
    mkdir -p "$found" "$crashes"
    before="$(find "$crashes" -type f | wc -l)"
    step "$target: $seconds seconds"
    "$(binary "$target")" -max_total_time="$seconds" -max_len="$MAX_LEN" -timeout="$HANG_SECONDS" -rss_limit_mb=4096 \
        -print_final_stats=1 -artifact_prefix="$crashes/" "$found" "$FUZZ/corpus/$target" >"$log" 2>&1 || true
    awk -v target="$target" '
        /stat::number_of_executed_units/ { runs = $2 }
        /stat::average_exec_per_sec/ { rate = $2 }
        / cov: / { for (i = 1; i < NF; i++) { if ($i == "cov:") cov = $(i + 1); if ($i == "corp:") corp = $(i + 1) } }
        END { printf "%-11s %10d executions  %6d per s  %6d edges covered  corpus %s\n", target, runs, rate, cov, corp }
    ' "$log"
    find "$crashes" -type f -newer "$FUZZ/Cargo.toml" | tail -n +"$((before + 1))" | while read -r crash; do
        printf 'CRASH in %s: ./x fuzz --replay %s %s\n' "$target" "$crash" "$target"
    done
    [ "$(find "$crashes" -type f | wc -l)" = "$before" ]
}

case "${1:-}" in
    --replay)
        [ $# = 3 ] || usage
        check_target "$3"
        build
        exec "$(binary "$3")" "$2"
        ;;
    --keep)
        targets=("${ALL[@]}")
        [ $# = 1 ] || { check_target "$2"; targets=("$2"); }
        build
        for target in "${targets[@]}"; do
            "$(binary "$target")" -merge=1 -max_len="$MAX_LEN" "$FUZZ/corpus/$target" "$WORK/found/$target" >"$WORK/$target.log" 2>&1
            printf '%-11s %d inputs kept\n' "$target" "$(find "$FUZZ/corpus/$target" -type f | wc -l)"
        done
        ;;
    '' | *[!0-9]*) usage ;;
    *)
        targets=("${ALL[@]}")
        [ $# = 1 ] || { check_target "$2"; targets=("$2"); }
        build
        seconds=$(($1 * 60 / ${#targets[@]})) failed=0
        for target in "${targets[@]}"; do fuzz "$target" "$seconds" || failed=1; done
        exit $failed
        ;;
esac
