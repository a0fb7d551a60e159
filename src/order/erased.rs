//! What stands in the place of a buyer whose data was erased.

use data_encoding::HEXLOWER;

/// Begins every pseudonym.
const PREFIX: &str = "erased-";
/// Hex digits that follow.
const DIGITS: usize = 16;

/// The name that an erased buyer's orders carry: `erased-` and 16 hex digits.
pub fn pseudonym(random: [u8; 8]) -> String {
    format!("{PREFIX}{}", HEXLOWER.encode(&random))
}

/// Whether a user's id is such a name.
pub fn is_pseudonym(user: &str) -> bool {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    user.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.len() == DIGITS && rest.bytes().all(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_are_told_from_users() {
        let name = pseudonym([0, 1, 2, 3, 0xab, 0xcd, 0xef, 0xff]);
        assert_eq!(name, "erased-00010203abcdefff");
        assert!(is_pseudonym(&name));
        for user in [
            "",
            "erased-",
            "ada",
            "erased-00010203abcdeff",
            "erased-00010203ABCDEFFF",
        ] {
            assert!(!is_pseudonym(user), "{user}");
        }
    }
}
