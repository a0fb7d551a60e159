#!/usr/bin/env bash
# Has the browser's test take a picture of every page of the console, and puts them into docs/console with a page that shows them.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_build
need cwebp webp "to store pictures in a tenth of their size"
TAKEN="$TARGET/tmp/browser/console-pages"
DOCS="$ROOT/docs/console"
cd "$ROOT"
scripts/axe.sh
rm -rf "$TAKEN"
cargo test --test it -- browser::console::every_page_can_be_read_on_a_phone_and_in_the_dark

rm -f "$DOCS"/*.webp
{
    printf '# Every page of the console\n\n'
    printf 'Wide (1280 px) and on a phone (390 px), light and dark. Made by `./x pictures`; a test takes the same pictures and holds each\n'
    printf 'page against axe-core. What the pages are for stands in [CONSOLE.md](../CONSOLE.md).\n'
    # In the order in which they were taken.
    for wide in $(ls -tr "$TAKEN"/*-wide-light.png); do
        page="$(basename "$wide" -wide-light.png)"
        printf '\n## %s\n\n' "$page"
        for look in wide-light wide-dark phone-light phone-dark; do
            cwebp -quiet -lossless -z 9 "$TAKEN/$page-$look.png" -o "$DOCS/$page-$look.webp"
        done
        printf '| | light | dark |\n| --- | --- | --- |\n'
        for size in wide phone; do
            printf '| %s | ![%s, %s, light](%s-%s-light.webp) | ![%s, %s, dark](%s-%s-dark.webp) |\n' \
                "$size" "$page" "$size" "$page" "$size" "$page" "$size" "$page" "$size"
        done
    done
} >"$DOCS/PAGES.md"
du -sh "$DOCS"
