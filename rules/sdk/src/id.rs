//! Ids of counters: stable over revisions, and different wherever a count means something else.

use alloc::format;
use alloc::string::String;

/// Bytes of a counter's id that the host allows.
const ID_BYTES_MAX: usize = 64;

/// Joins the parts to an id of lower-case letters, digits and hyphens. What does not fit that is replaced, and
/// then a digest of the parts as they were stands at the end, so that different parts never make one id.
///
/// Name what is counted, for whom, and over which window: `counter_id(&["orders", "per-user", "day-utc"])`. The
/// limit is no part of it, so that raising a limit keeps the count; everything that changes what the number
/// means is, so that it starts anew.
pub fn counter_id(parts: &[&str]) -> String {
    let plain: String = parts.join("-");
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    // The one character of most attributes' names that an id cannot have.
    let id: String = plain
        .replacen(':', "-", 1)
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .collect();
    let simple = !id.is_empty()
        && !id.starts_with('-')
        && plain.chars().all(|c| allowed(c) || c == ':')
        && plain.matches(':').count() <= 1;
    if simple && id.len() <= ID_BYTES_MAX {
        return id;
    }
    let digest = digest(&parts.join("\0"));
    let readable: String = id
        .trim_start_matches('-')
        .chars()
        .take(ID_BYTES_MAX - digest.len() - 1)
        .collect();
    if readable.is_empty() {
        digest
    } else {
        format!("{readable}-{digest}")
    }
}

/// 16 hex digits.
pub(crate) fn digest(text: &str) -> String {
    format!("{:016x}", fnv1a(text))
}

/// The 64-bit FNV-1a hash.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain_names_and_differ_where_the_parts_do() {
        assert_eq!(
            counter_id(&["orders", "per-user", "day-utc"]),
            "orders-per-user-day-utc"
        );
        assert_eq!(
            counter_id(&["orders-per", "client:device"]),
            "orders-per-client-device"
        );
        let ids = [
            "client:a.b",
            "client:a_b",
            "client:A-b",
            "client:a-b",
            "client:a:b",
            "",
            "-a",
            "a",
            "…",
        ];
        for (index, one) in ids.iter().enumerate() {
            let id = counter_id(&[one]);
            assert!(
                (1..=ID_BYTES_MAX).contains(&id.len()) && !id.starts_with('-'),
                "{id}"
            );
            assert!(
                ids[..index].iter().all(|other| counter_id(&[other]) != id),
                "{one}: {id}"
            );
        }
        let long = "x".repeat(70);
        assert_eq!(counter_id(&[&long, "a"]).len(), ID_BYTES_MAX);
        assert_ne!(counter_id(&[&long, "a"]), counter_id(&[&long, "b"]));
    }
}
