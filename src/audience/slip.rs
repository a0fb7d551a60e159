//! Texts that are meant as an address or a range of them, and are none: as members of a list of texts they would match nobody.

/// How such a text is written; goes on a sentence that begins with the text, and says what to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Slip {
    #[error("is an address with a netmask: write the number of its bits behind the /, such as 10.0.0.0/8")]
    Netmask,
    #[error("has more bits behind the / than an address, or none: an IPv4 address has 32, an IPv6 one 128")]
    Bits,
    #[error("is an address with a port: write the address alone")]
    Port,
    #[error("is an address with a zone: write what stands before the % alone")]
    Zone,
    #[error("is an address in brackets: write it without them, and without a port")]
    Brackets,
    #[error(
        "is two addresses with a dash between them: write ranges such as 10.0.0.0/28, or each address on a line of its own"
    )]
    Dash,
    #[error("has stars in an address: write a range such as 10.0.0.0/24")]
    Stars,
    #[error(
        "has a number that begins with 0, which some programs read as octal: write it without the zeros before it"
    )]
    Zeros,
    #[error("has a number above 255: an IPv4 address is four numbers from 0 to 255")]
    Above,
    #[error("is an IPv4 address with too few numbers: write all four, such as 10.0.0.0/8")]
    Short,
    #[error("is no IPv6 address: write eight groups of up to four digits, or :: once in place of zeros")]
    Groups,
    #[error("is an address with something behind it: write the address alone")]
    Behind,
}

/// What the digits, dots and colons are that a text begins with.
enum Head {
    /// Four numbers, and what is wrong with one of them.
    V4(Option<Slip>),
    /// One to three numbers of up to 255.
    ShortV4 {
        numbers: usize,
    },
    V6,
    /// Groups of IPv6 that are too few, without `::`.
    ShortV6,
}

/// How a text is written that is no address and no range, where it is meant as one.
pub(super) fn slip_of(text: &str) -> Option<Slip> {
    if let Some(inner) = text.strip_prefix('[') {
        let (inside, _) = inner.split_once(']')?;
        let (head, _) = parted(inside);
        return matches!(head_of(head)?, Head::V4(_) | Head::V6).then_some(Slip::Brackets);
    }
    let (head, rest) = parted(text);
    if let Some(slip) = with_port(head).or_else(|| with_stars(head, rest)) {
        return Some(slip);
    }
    if let Some(numbers) = head.strip_suffix('.') {
        return match head_of(numbers)? {
            Head::V4(_) if rest.is_empty() => Some(Slip::Behind),
            Head::ShortV4 { numbers: 2.. } if rest.is_empty() => Some(Slip::Short),
            _ => None,
        };
    }
    match head_of(head)? {
        Head::V4(wrong) => behind(rest, wrong),
        Head::V6 => behind(
            rest,
            head.parse::<std::net::Ipv6Addr>()
                .is_err()
                .then_some(Slip::Groups),
        ),
        Head::ShortV4 { numbers } => {
            let bits = rest.strip_prefix('/')?;
            let few = numbers > 1 || bits.parse::<u8>().is_ok_and(|bits| bits <= 32);
            (few && (is_number(bits, 3) || is_v4(bits))).then_some(Slip::Short)
        }
        Head::ShortV6 => is_number(rest.strip_prefix('/')?, 3).then_some(Slip::Groups),
    }
}

/// A text as what addresses are made of, and what comes then.
fn parted(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':')));
    text.split_at(end.unwrap_or(text.len()))
}

fn head_of(head: &str) -> Option<Head> {
    if head.contains(':') {
        let groups = || head.split(':');
        let is_group = |group: &str| (1..=4).contains(&group.len()) && !group.contains('.');
        return match (head.contains("::"), groups().all(is_group)) {
            (true, _) => Some(Head::V6),
            (false, true) if groups().count() >= 8 => Some(Head::V6),
            (false, all) => all.then_some(Head::ShortV6),
        };
    }
    let numbers: Vec<&str> = head.split('.').collect();
    if !numbers.iter().all(|number| is_number(number, 3)) {
        return None;
    }
    let is_above = numbers.iter().any(|number| number.parse::<u8>().is_err());
    let has_zeros = numbers
        .iter()
        .any(|number| number.len() > 1 && number.starts_with('0'));
    match (numbers.len(), is_above) {
        (4, true) => Some(Head::V4(Some(Slip::Above))),
        (4, false) => Some(Head::V4(has_zeros.then_some(Slip::Zeros))),
        (numbers @ 1..=3, false) => Some(Head::ShortV4 { numbers }),
        _ => None,
    }
}

/// What stands behind an address, in which this is wrong.
fn behind(rest: &str, wrong: Option<Slip>) -> Option<Slip> {
    let word = rest.trim();
    if rest.len() > word.len() || rest.starts_with('#') {
        return match word.strip_prefix(['-', '–']) {
            Some(last) if is_address_like(last.trim()) => Some(Slip::Dash),
            // Spaces around an id are told as such.
            _ => (!word.is_empty()).then_some(Slip::Behind),
        };
    }
    let mut chars = rest.chars();
    let (mark, after) = (chars.next(), chars.as_str());
    match mark {
        None => wrong,
        Some('%') => Some(Slip::Zone),
        Some('-' | '–') => is_address_like(after).then_some(Slip::Dash),
        Some('/') => wrong.filter(|_| is_address_like(after)).or_else(|| bits(after)),
        _ => None,
    }
}

/// What stands behind the `/` of a range.
fn bits(after: &str) -> Option<Slip> {
    let digits = after.trim_start_matches(|c: char| c.is_ascii_digit());
    match after {
        _ if is_v4(after) || after.contains("::") || after.split(':').count() > 2 => {
            is_address_like(after).then_some(Slip::Netmask)
        }
        _ if digits.is_empty() => match after.len() > 1 && after.starts_with('0') {
            true => Some(Slip::Zeros),
            false => Some(Slip::Bits),
        },
        _ => (digits.len() < after.len()).then_some(Slip::Behind),
    }
}

/// An IPv4 address, a colon, and digits or nothing.
fn with_port(head: &str) -> Option<Slip> {
    let (address, port) = head.split_once(':')?;
    (is_v4(address) && port.bytes().all(|byte| byte.is_ascii_digit())).then_some(Slip::Port)
}

/// `10.0.*.*`, `2001:db8:*`.
fn with_stars(head: &str, rest: &str) -> Option<Slip> {
    let numbers = head.strip_suffix(['.', ':'])?;
    let stars = rest.starts_with('*') && rest.chars().all(|c| matches!(c, '*' | '.' | ':' | '0'..='9'));
    (stars && head_of(numbers).is_some()).then_some(Slip::Stars)
}

fn is_v4(text: &str) -> bool {
    matches!(head_of(text), Some(Head::V4(_)))
}

/// Up to so many digits.
fn is_number(text: &str, digits: usize) -> bool {
    (1..=digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A number, or what addresses are made of and begins as one.
fn is_address_like(text: &str) -> bool {
    let (head, rest) = parted(text);
    rest.is_empty() && (is_number(head, 3) || head.contains(['.', ':']) && !head.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_as_an_address_is_told_from_what_is_not() {
        for (slip, texts) in [
            (
                Slip::Netmask,
                &[
                    "10.0.0.0/255.0.0.0",
                    "10.0.0.0/0.0.0.255",
                    "2001:db8::/ffff:ffff::",
                ][..],
            ),
            (
                Slip::Bits,
                &["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8000", "2001:db8::/129"],
            ),
            (
                Slip::Port,
                &["10.1.2.3:80", "10.1.2.3:", "10.1.2.300:80", "10.1.2.3:80/tcp"],
            ),
            (Slip::Zone, &["fe80::1%eth0", "fe80::1%1/64", "10.0.0.1%eth0"]),
            (
                Slip::Brackets,
                &["[::1]", "[fe80::1%eth0]", "[2001:db8::1]:443", "[10.0.0.1]"],
            ),
            (
                Slip::Dash,
                &[
                    "10.0.0.1-10.0.0.9",
                    "10.0.0.1 - 10.0.0.9",
                    "10.0.0.1–10.0.0.9",
                    "10.0.0.1-9",
                    "::1-::9",
                ],
            ),
            (
                Slip::Stars,
                &["10.0.0.*", "10.*", "10.0.*.*", "10.*.0.1", "2001:db8:*"],
            ),
            (
                Slip::Zeros,
                &["010.0.0.0/8", "10.0.0.0/08", "192.168.001.010", "10.0.0.0/00"],
            ),
            (Slip::Above, &["10.0.0.256", "300.1.2.3/8"]),
            (
                Slip::Short,
                &["10.0.0/8", "10/8", "10.0.0.", "10.0/255.255.0.0", "10.0.0/33"],
            ),
            (
                Slip::Groups,
                &[
                    "2001:db8::12345",
                    "::1::",
                    "1:2:3:4:5:6:7:8:9",
                    "2001:db8/32",
                    "::1.2.3.400",
                ],
            ),
            (
                Slip::Behind,
                &[
                    "10.0.0.1 # office",
                    "10.0.0.1#office",
                    "10.0.0.0/8 office",
                    "10.0.0.1.",
                    "::1 ada",
                ],
            ),
        ] {
            for text in texts {
                assert_eq!(slip_of(text), Some(slip), "{text}");
            }
        }
        for text in [
            "ada",
            "4711",
            "",
            "-",
            "1.2.3",
            "1.2.3.4.5",
            "756.1234.5678.97",
            "123.456.789-00",
            "12.345.678/0001-95",
            "12/34",
            "2024-01-02",
            "12:30:45",
            "aa:bb:cc:dd:ee:ff",
            "550e8400-e29b-41d4-a716-446655440000",
            "auth0|5f7c8ec7c33c6c004bbafe82",
            "10.0.0.1@x.org",
            "10.0.0.1-session",
            "10.0.0.1 ",
            "10.0.0.1/login",
            "urn:ad:1",
            "a:b",
            "abc::user",
            "[ada]",
            "[1]",
            "ada.",
            "+49-170-1234567",
        ] {
            assert_eq!(slip_of(text), None, "{text}");
        }
    }
}
