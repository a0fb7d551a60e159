//! Addresses and ranges of them as members of a list: each has one spelling, and an address is in the ranges that its
//! leading bits name.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::slip::{Slip, slip_of};

/// Lengths of ranges that one list may have, of each version of addresses: as often at most a list is asked for one
/// order.
pub const PREFIX_LENGTHS_MAX: usize = 64;

/// Bits before an address of version 4 that is written as one of version 6.
const MAPPED_BITS: u8 = 96;

/// What the members of a list are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListKind {
    /// Compared byte for byte.
    #[default]
    Texts,
    /// Addresses and ranges of them, in one spelling each. An address is on the list where one of them covers it.
    Addresses(PrefixLengths),
}

/// The lengths of the ranges of a list, an address by itself being the longest. Of a list of which members were taken
/// off, there may be some that no range has any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrefixLengths {
    pub v4: BTreeSet<u8>,
    pub v6: BTreeSet<u8>,
}

/// Why a text is no member of a list of addresses; goes on a sentence that begins with the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("is no IP address and no range of them, such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32")]
    NoAddress,
    /// Meant as one.
    #[error("{0}")]
    Slip(Slip),
    #[error("is within the range {range} and does not begin it: write {range}, or {address} alone")]
    HostBits { range: IpNet, address: IpAddr },
    #[error(
        "is a range of IPv4 that is written as IPv6 and has fewer than {MAPPED_BITS} bits: write it as IPv4"
    )]
    Mapped,
}

/// An address, or a range of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange(IpNet);

impl AddressRange {
    /// Reads an address or a range, however it is written.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(IpNet::from(address.to_canonical())));
        }
        let no_address = || slip_of(text).map_or(AddressError::NoAddress, AddressError::Slip);
        let range = written_range(text).ok_or_else(no_address)?;
        let range = match range {
            IpNet::V6(v6) => unmapped(v6)?,
            v4 => v4,
        };
        match range.trunc() {
            first if first == range => Ok(Self(range)),
            first => Err(AddressError::HostBits {
                range: first,
                address: range.addr(),
            }),
        }
    }

    pub fn is_single(&self) -> bool {
        self.0.prefix_len() == self.0.max_prefix_len()
    }

    /// The one spelling that a list has.
    pub fn member(&self) -> String {
        match self.is_single() {
            true => self.0.addr().to_string(),
            false => self.0.to_string(),
        }
    }
}

/// Whether a text is meant as a range of addresses.
pub fn is_range(text: &str) -> bool {
    match AddressRange::parse(text) {
        Ok(range) => !range.is_single(),
        Err(why) => matches!(why, AddressError::HostBits { .. } | AddressError::Mapped),
    }
}

/// How a text is written that is meant as an address or a range and is none.
pub(super) fn slipped(text: &str) -> Option<Slip> {
    // Most ids have none of these, and need not be read.
    if !text.contains(['.', ':', '/']) {
        return None;
    }
    match AddressRange::parse(text) {
        Err(AddressError::Slip(slip)) => Some(slip),
        _ => None,
    }
}

/// A range as it is written; a number in it that begins with 0 might be octal.
fn written_range(text: &str) -> Option<IpNet> {
    let (address, bits) = text.split_once('/')?;
    address.parse::<IpAddr>().ok()?;
    match bits.len() > 1 && bits.starts_with('0') {
        true => None,
        false => text.parse().ok(),
    }
}

/// A range of addresses of version 4 that is written as one of version 6.
fn unmapped(range: Ipv6Net) -> Result<IpNet, AddressError> {
    let Some(v4) = range.addr().to_ipv4_mapped() else {
        return Ok(IpNet::V6(range));
    };
    let bits = range.prefix_len().checked_sub(MAPPED_BITS);
    let range = bits.and_then(|bits| Ipv4Net::new(v4, bits).ok());
    range.map(IpNet::V4).ok_or(AddressError::Mapped)
}

impl PrefixLengths {
    pub fn insert(&mut self, range: &AddressRange) {
        let lengths = match range.0 {
            IpNet::V4(_) => &mut self.v4,
            IpNet::V6(_) => &mut self.v6,
        };
        lengths.insert(range.0.prefix_len());
    }

    /// Whether a list would have to be asked too often for one address.
    pub fn is_crowded(&self) -> bool {
        self.most() > PREFIX_LENGTHS_MAX
    }

    /// How often a list is asked for one address at most.
    pub fn most(&self) -> usize {
        self.v4.len().max(self.v6.len())
    }

    /// Every member that a list may have and that would cover this one: itself first, then ever wider ranges.
    pub fn covering(&self, range: &AddressRange) -> impl Iterator<Item = String> {
        let range = range.0;
        let lengths = match range {
            IpNet::V4(_) => &self.v4,
            IpNet::V6(_) => &self.v6,
        };
        let wider = lengths.range(..=range.prefix_len()).rev();
        let members = wider.filter_map(move |bits| IpNet::new(range.addr(), *bits).ok());
        members.map(|range| AddressRange(range.trunc()).member())
    }

    /// The same for the text of an attribute; nothing for what is no address.
    pub fn of_text(&self, text: &str) -> Vec<String> {
        match text.parse::<IpAddr>() {
            Ok(address) => self
                .covering(&AddressRange(IpNet::from(address.to_canonical())))
                .collect(),
            Err(_) => Vec::new(),
        }
    }
}

impl ListKind {
    /// A list of addresses that has none yet.
    pub fn addresses() -> Self {
        Self::Addresses(PrefixLengths::default())
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Texts => "texts",
            Self::Addresses(_) => "addresses",
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Texts, Self::addresses()];
        all.into_iter().find(|kind| kind.name() == name)
    }

    /// How often a list is asked for one value at most.
    pub fn most_asked(&self) -> usize {
        match self {
            Self::Texts => 1,
            Self::Addresses(lengths) => lengths.most(),
        }
    }

    /// The members that put a value on the list, of which it may have some: the value itself, or the ranges it is in.
    pub fn members_for(&self, text: &str) -> Vec<String> {
        match self {
            Self::Texts => vec![text.to_owned()],
            Self::Addresses(lengths) => lengths.of_text(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(text: &str) -> Result<String, AddressError> {
        AddressRange::parse(text).map(|range| range.member())
    }

    #[test]
    fn an_address_has_one_spelling() {
        for (text, expected) in [
            ("1.2.3.4", "1.2.3.4"),
            ("1.2.3.4/32", "1.2.3.4"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("::FFFF:0102:0304", "1.2.3.4"),
            ("::ffff:1.2.3.4/128", "1.2.3.4"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0.0.0.0/96", "0.0.0.0/0"),
            ("2001:DB8::1", "2001:db8::1"),
            ("2001:db8:0:0::1", "2001:db8::1"),
            ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
            ("2001:db8::1/128", "2001:db8::1"),
            ("2001:DB8:0::/32", "2001:db8::/32"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("::1", "::1"),
            // Not a mapped one: an address of version 6 of its own.
            ("::1.2.3.4", "::102:304"),
        ] {
            assert_eq!(member(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "ada",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.256",
            "01.2.3.4",
            "010.0.0.0/8",
            "10.0.0.0/08",
            "1.2.3.4/33",
            "1.2.3.4/",
            "1.2.3.4/-1",
            "1.2.3.4:80",
            "[::1]",
            "::1%eth0",
            "fe80::1%1/64",
            "::1/129",
            " 1.2.3.4",
            "1.2.3.4 ",
            "1.2.3.4-1.2.3.9",
            "10.0.0.0/255.0.0.0",
            "10.*",
            "16909060",
            "0x01020304",
        ] {
            let refused = member(text).expect_err(text);
            assert!(
                matches!(refused, AddressError::NoAddress | AddressError::Slip(_)),
                "{text}: {refused}"
            );
            assert!(!is_range(text), "{text}");
        }
        for (text, first) in [("10.1.2.3/8", "10.0.0.0/8"), ("2001:db8::1/32", "2001:db8::/32")] {
            let error = member(text).expect_err(text).to_string();
            assert!(error.contains(first), "{error}");
        }
        let error = member("::ffff:10.1.2.3/104").expect_err("host bits").to_string();
        assert!(error.contains("10.0.0.0/8"), "{error}");
        assert_eq!(member("::ffff:0:0/95"), Err(AddressError::Mapped));
    }

    /// An address is in a range as `ipnet` says it.
    #[test]
    fn an_address_is_covered_by_the_ranges_that_contain_it() {
        let ranges = [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.1.2.3",
            "10.128.0.0/9",
            "203.0.113.0/24",
            "::/0",
            "2001:db8::/32",
            "2001:db8:1::/48",
            "2001:db8:8000::/33",
            "2001:db8::1",
            "::102:304",
        ];
        let parsed = ranges.map(|range| AddressRange::parse(range).expect(range));
        let mut lengths = PrefixLengths::default();
        parsed.iter().for_each(|range| lengths.insert(range));
        assert_eq!(lengths.most(), 6);
        for address in [
            "10.1.2.3",
            "10.1.2.4",
            "10.200.0.1",
            "11.0.0.0",
            "::ffff:10.1.2.3",
            "203.0.113.255",
            "203.0.114.0",
            "2001:DB8:0:0::1",
            "2001:db8:1::9",
            "2001:db8:ffff::",
            "2001:db9::",
            "::1.2.3.4",
            "255.255.255.255",
        ] {
            let parsed_address: IpAddr = address.parse().expect(address);
            let canonical = parsed_address.to_canonical();
            let expected: BTreeSet<String> = parsed
                .iter()
                .filter(|range| range.0.contains(&canonical))
                .map(AddressRange::member)
                .collect();
            let covering = lengths.of_text(address).into_iter();
            let found: BTreeSet<String> = covering.filter(|one| ranges.contains(&one.as_str())).collect();
            assert_eq!(found, expected, "{address}");
        }
        assert_eq!(lengths.of_text("ada"), [] as [String; 0]);
        assert_eq!(lengths.of_text(""), [] as [String; 0]);
    }
}
