//! What the members of a list are, found in them where nobody has said it.

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
    /// Those that are no addresses: the first ones, and how many there are.
    others: Vec<(String, AddressError)>,
    count: u64,
}

impl Scan {
    pub fn see(&mut self, member: &str) {
        self.members += 1;
        if self.range.is_none() && is_range(member) {
            self.range = Some(member.to_owned());
        }
        let why = match AddressRange::parse(member) {
            Ok(range) => return self.lengths.insert(&range),
            Err(why) => why,
        };
        self.count += 1;
        if self.others.len() < TOLD_MAX {
            self.others.push((member.to_owned(), why));
        }
    }

    /// What they are: as was said, or addresses where all of them are. Ranges among other texts would match nobody,
    /// so that is to be said.
    pub fn kind(self, said: Option<&ListKind>) -> Result<ListKind, AudienceError> {
        let are_addresses = self.count == 0 && self.members > 0;
        let kind = match said {
            Some(ListKind::Texts) => return Ok(ListKind::Texts),
            Some(ListKind::Addresses(_)) if self.count > 0 => {
                return Err(AudienceError::NoAddresses {
                    count: self.count,
                    told: self.told(),
                });
            }
            Some(ListKind::Addresses(_)) => ListKind::Addresses(self.lengths),
            None if are_addresses => ListKind::Addresses(self.lengths),
            None => match &self.range {
                None => return Ok(ListKind::Texts),
                Some(range) => {
                    let range = echo(range);
                    let told = self.told();
                    return Err(AudienceError::Mixed { range, told });
                }
            },
        };
        match &kind {
            ListKind::Addresses(lengths) if lengths.is_crowded() => Err(AudienceError::TooManyLengths),
            _ => Ok(kind),
        }
    }

    fn told(&self) -> String {
        let tell = |(member, why): &(String, AddressError)| format!("{}: {why}", echo(member));
        let told: Vec<String> = self.others.iter().map(tell).collect();
        told.join("; ")
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
            (&["ada", "10.0.0.0/8"][..], None, "kind="),
            (&["10.1.2.3/8"], None, "10.0.0.0/8"),
            (&["1.2.3.4", "ada"], Some(&said), "\"ada\": it is no IP address"),
            (&["1.2.3.4", "10.1.2.3/8"], Some(&said), "10.0.0.0/8"),
        ] {
            let error = kind(members, said).expect_err("refused");
            assert!(error.contains(what), "{error}");
        }
        let many: Vec<String> = (60..=128).map(|bits| format!("::/{bits}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(kind(&many, None).expect_err("too many").contains("64"));
    }
}
