//! The modules every gateway has from the start: `rules/dist`, built by `rules/build.sh`.

/// One module per rule: its file's name and bytes.
macro_rules! built {
    ($($name:literal),* $(,)?) => {
        &[$((
            concat!($name, ".wasm"),
            include_bytes!(concat!("../../rules/dist/", $name, ".wasm")),
        )),*]
    };
}

/// (file name, bytes), in the order they are offered.
pub fn builtin() -> &'static [(&'static str, &'static [u8])] {
    built![
        "one-per-user",
        "n-per-user",
        "per-window",
        "per-subject",
        "tiered",
        "audience",
        "early-access",
        "region-quota",
        "cooldown",
        "order-cap",
    ]
}
