//! The modules every gateway has from the start: `rules/dist`, built by `rules/build.sh`. Of a rule that has become
//! another one, the bytes of each version that was released stay beside the newest: revisions pin them, and
//! `id@version` names them.

/// Modules: their files' names and bytes.
macro_rules! built {
    ($($name:literal),* $(,)?) => {
        &[$((
            concat!($name, ".wasm"),
            include_bytes!(concat!("../../rules/dist/", $name, ".wasm")),
        )),*]
    };
}

/// (file name, bytes), in the order they are offered: `<id>.wasm` is the newest version of a rule, and
/// `<id>@<version>.wasm` an older one.
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
        "one-per-user@1.0.0",
        "n-per-user@1.0.0",
        "per-window@1.0.0",
        "per-subject@1.0.0",
        "tiered@1.0.0",
        "early-access@1.0.0",
        "region-quota@1.0.0",
        "audience@1.0.0",
        "cooldown@1.0.0",
        "order-cap@1.0.0",
    ]
}

/// Id of the built-in module that this one is, or could be taken for: `tiered`, `tlered`.
pub fn resembles_builtin(id: &str) -> Option<&'static str> {
    let look = look(id);
    let mut ids = builtin().iter().map(|(file, _)| id_of(file));
    ids.find(|builtin| self::look(builtin) == look)
}

/// The id in a file's name.
fn id_of(file: &str) -> &str {
    let name = file.strip_suffix(".wasm").unwrap_or(file);
    name.split_once('@').map_or(name, |(id, _)| id)
}

/// What a hurried reader sees of an id.
fn look(id: &str) -> String {
    let single = |c| match c {
        '0' => 'o',
        '1' | 'i' => 'l',
        '5' => 's',
        other => other,
    };
    let letters: String = id.chars().filter(|c| *c != '-').map(single).collect();
    letters.replace("rn", "m").replace("vv", "w")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_look_alike_are_told() {
        for (id, builtin) in [
            ("n-per-user", Some("n-per-user")),
            ("nper-user", Some("n-per-user")),
            ("0ne-per-user", Some("one-per-user")),
            ("tlered", Some("tiered")),
            ("t1ered", Some("tiered")),
            ("c0oldown", Some("cooldown")),
            ("per-vvindow", Some("per-window")),
            ("two-per-user", None),
            ("tiers", None),
            ("n-per-users", None),
        ] {
            assert_eq!(resembles_builtin(id), builtin, "{id}");
        }
    }
}
