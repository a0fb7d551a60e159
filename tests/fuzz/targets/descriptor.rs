//! libFuzzer's entry to the target `descriptor`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rushgate_fuzz::run("descriptor", data));
