//! libFuzzer's entry to the target `plan`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rushgate_fuzz::run("plan", data));
