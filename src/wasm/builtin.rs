//! The modules every gateway has from the start: `rules/dist`, built by `rules/build.sh`.

/// (file name, bytes), in the order they are offered.
pub fn builtin() -> &'static [(&'static str, &'static [u8])] {
    &[
        (
            "one-per-user.wasm",
            include_bytes!("../../rules/dist/one-per-user.wasm"),
        ),
        (
            "n-per-user.wasm",
            include_bytes!("../../rules/dist/n-per-user.wasm"),
        ),
    ]
}
