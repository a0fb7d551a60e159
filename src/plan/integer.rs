//! Integers that texts say: what a claim of `5` is as a number.

/// Digits of the largest integer of a plan.
const DIGITS_MAX: usize = 16;

/// The integer, where the text is what JSON writes for one: digits without a zero before them, and a minus before those of
/// a negative one. Every other text says none: `+5`, `05`, `5.0`, `5e0`, `-0`, ` 5`, digits of other scripts.
pub(super) fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let written =
        (1..=DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let plain = !digits.starts_with('0') || text == "0";
    match written && plain {
        true => text.parse().ok(),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_json_writes_them() {
        for (text, value) in [
            ("0", 0),
            ("7", 7),
            ("-7", -7),
            ("9007199254740991", 9_007_199_254_740_991),
            ("-9999999999999999", -9_999_999_999_999_999),
        ] {
            assert_eq!(integer(text), Some(value), "{text}");
        }
        for text in [
            "",
            "-",
            "-0",
            "00",
            "07",
            "+7",
            " 7",
            "7 ",
            "7.0",
            "7e0",
            "0x7",
            "1_0",
            "1,0",
            "٧",
            "７",
            "seven",
            "--7",
            "10000000000000000",
            "7\0",
            "7\n",
        ] {
            assert_eq!(integer(text), None, "{text:?}");
        }
    }
}
