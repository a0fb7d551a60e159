//! What the members of a list are, found in them where nobody has said it.

use std::fmt;

use super::AudienceError;
use super::address::{AddressError, AddressRange, ListKind, PrefixLengths, is_range};
use crate::wire::echo;

/// Members that are told one by one.
const TOLD_MAX: usize = 10;

/// Looks at the members of a list one by one.
#[derive(Debug, Default)]
pub struct Scan {
    lengths: PrefixLengths,
    members: u64,
    /// A range, which as a text would match nobody.
    range: Option<String>,
    /// Those that are meant as ranges and are none.
    ranges: Told,
    /// Those that are nothing of the kind.
    others: Told,
}

/// The first members of which something is to be said, each with that, and how many there are.
#[derive(Debug, Default)]
struct Told {
    first: Vec<(String, AddressError)>,
    count: u64,
}

impl Told {
    fn add(&mut self, member: &str, why: AddressError) {
        self.count += 1;
        if self.first.len() < TOLD_MAX {
            self.first.push((member.to_owned(), why));
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (member, why)) in self.first.iter().enumerate() {
            let between = if index == 0 { "" } else { "; " };
            write!(f, "{between}{} {why}", echo(member))?;
        }
        match self.count - self.first.len() as u64 {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl Scan {
    pub fn see(&mut self, member: &str) {
        self.members += 1;
        if self.range.is_none() && is_range(member) {
            self.range = Some(member.to_owned());
        }
        match AddressRange::parse(member) {
            Ok(range) => self.lengths.insert(&range),
            Err(why @ (AddressError::NoAddress | AddressError::Slip(_))) => self.others.add(member, why),
            Err(why) => self.ranges.add(member, why),
        }
    }

    /// What they are: as was said, or addresses where all of them are. Ranges among other texts would match nobody,
    /// so that is to be said.
    pub fn kind(self, said: Option<&ListKind>) -> Result<ListKind, AudienceError> {
        let kind = match said {
            Some(ListKind::Texts) => return Ok(ListKind::Texts),
            None if self.members == 0 => return Ok(ListKind::Texts),
            Some(ListKind::Addresses(_)) if self.others.count > 0 => return Err(self.no_addresses()),
            None if self.others.count > 0 => return self.of_texts(),
            _ if self.ranges.count > 0 => {
                let told = self.ranges.to_string();
                return Err(AudienceError::Ranges { told });
            }
            _ => ListKind::Addresses(self.lengths),
        };
        match &kind {
            ListKind::Addresses(lengths) if lengths.is_crowded() => Err(AudienceError::TooManyLengths),
            _ => Ok(kind),
        }
    }

    fn no_addresses(&self) -> AudienceError {
        let mut told = self.others.to_string();
        if self.ranges.count > 0 {
            told += &format!("; {}", self.ranges);
        }
        AudienceError::NoAddresses { told }
    }

    /// Of members that are not all addresses, while nobody has said what they are.
    fn of_texts(self) -> Result<ListKind, AudienceError> {
        match &self.range {
            None => Ok(ListKind::Texts),
            Some(range) => Err(AudienceError::Mixed {
                range: echo(range),
                told: self.others.to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(members: &[&str], said: Option<&ListKind>) -> Result<ListKind, String> {
        let mut scan = Scan::default();
        members.iter().for_each(|member| scan.see(member));
        scan.kind(said).map_err(|error| error.to_string())
    }

    #[test]
    fn the_kind_is_found_or_said() {
        let addresses = |v4: &[u8], v6: &[u8]| {
            let set = |lengths: &[u8]| lengths.iter().copied().collect();
            let (v4, v6) = (set(v4), set(v6));
            Ok(ListKind::Addresses(PrefixLengths { v4, v6 }))
        };
        let (texts, said) = (Ok(ListKind::Texts), ListKind::addresses());
        assert_eq!(
            kind(&["1.2.3.4", "10.0.0.0/8", "2001:db8::/32"], None),
            addresses(&[8, 32], &[32])
        );
        assert_eq!(kind(&["::ffff:1.2.3.4"], Some(&said)), addresses(&[32], &[]));
        assert_eq!(kind(&[], Some(&said)), addresses(&[], &[]));
        assert_eq!(kind(&[], None), texts);
        assert_eq!(kind(&["ada", "bob"], None), texts);
        assert_eq!(kind(&["ada", "1.2.3.4"], None), texts);
        assert_eq!(kind(&["ada", "10.0.0.0/8"], Some(&ListKind::Texts)), texts);

        for (members, said, what) in [
            (
                &["ada", "10.0.0.0/8"][..],
                None,
                "\"10.0.0.0/8\" is a range of addresses, and \"ada\" is no IP address and no range",
            ),
            (
                &["ada", "10.1.2.3/8"],
                None,
                "\"10.1.2.3/8\" is a range of addresses, and \"ada\" is no IP address and no range",
            ),
            (
                &["1.2.3.4", "ada"],
                Some(&said),
                "the list is of addresses, and \"ada\" is no IP address",
            ),
            (
                &["ada", "10.1.2.3/8"],
                Some(&said),
                "; \"10.1.2.3/8\" is within the range",
            ),
        ] {
            let error = kind(members, said).expect_err("refused");
            assert!(error.contains(what), "{error}");
        }
        // One sentence, and nothing of what else could have been meant.
        for said in [None, Some(&said)] {
            for members in [&["10.1.2.3/8"][..], &["1.2.3.4", "10.1.2.3/8"]] {
                assert_eq!(
                    kind(members, said).expect_err("refused"),
                    "\"10.1.2.3/8\" is within the range 10.0.0.0/8 and does not begin it: write 10.0.0.0/8, or 10.1.2.3 alone"
                );
            }
        }
        let ranges: Vec<String> = (1..=12).map(|n| format!("10.0.0.{n}/8")).collect();
        let ranges: Vec<&str> = ranges.iter().map(String::as_str).collect();
        let error = kind(&ranges, None).expect_err("refused");
        assert!(error.ends_with("10.0.0.10 alone; and 2 more"), "{error}");
        let many: Vec<String> = (60..=128).map(|bits| format!("::/{bits}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(kind(&many, None).expect_err("too many").contains("64"));
    }
}
