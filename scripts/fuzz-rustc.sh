#!/bin/sh
# The compiler as ./x fuzz uses it: rushgate's own code is built with the coverage counters libFuzzer looks at, and
# nothing else is: what a library does with an input is its own affair. Works with a stable compiler.
case " $* " in
*" --crate-name rushgate "* | *" --crate-name rushgate_fuzz "*)
    exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1
    ;;
esac
exec "$@"
