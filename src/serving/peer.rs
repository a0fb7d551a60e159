//! Who counts as one peer, and which peers are proxies.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// An IPv4 address, or the /64 of an IPv6 address: what one customer of a provider has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerKey(IpAddr);

impl PeerKey {
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let bits = v6.to_bits() & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from_bits(bits))
            }
            v4 => v4,
        })
    }
}

/// Networks in CIDR notation, separated by commas; a plain address is a network of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Networks(Vec<IpNet>);

impl Networks {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the address lies in one of them; an IPv4 address mapped into IPv6 counts as itself.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// The text is no network.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not a network: write it like 10.0.0.0/8, fd00::/8 or 192.0.2.7, several separated by commas"
)]
pub struct NetworkError(String);

impl FromStr for Networks {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let read = |name: &str| {
            let network = name.parse::<IpNet>().ok();
            let one = || name.parse::<IpAddr>().ok().map(IpNet::from);
            network
                .or_else(one)
                .ok_or_else(|| NetworkError(name.chars().take(60).collect()))
        };
        names.map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<String> for Networks {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl From<Networks> for String {
    fn from(networks: Networks) -> Self {
        networks.to_string()
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, network) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{network}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: &str) -> PeerKey {
        PeerKey::of(address.parse().expect("an address"))
    }

    #[test]
    fn a_peer_is_an_address_or_a_64() {
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
    }

    #[test]
    fn networks_are_read_and_said_as_they_were() {
        let networks: Networks = " 10.0.0.0/8, fd00::/8 ,192.0.2.7".parse().expect("networks");
        assert_eq!(networks.to_string(), "10.0.0.0/8,fd00::/8,192.0.2.7/32");
        for (address, inside) in [
            ("10.255.0.1", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.1", false),
            ("fd12::1", true),
            ("fe80::1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
        ] {
            assert_eq!(
                networks.contain(address.parse().expect("an address")),
                inside,
                "{address}"
            );
        }
        assert!("".parse::<Networks>().expect("none").is_empty());
        for wrong in ["10.0.0.0/33", "ten", "10.0.0.0/8;11.0.0.0/8"] {
            let error = wrong.parse::<Networks>().expect_err(wrong).to_string();
            assert!(error.contains("10.0.0.0/8, fd00::/8"), "{error}");
        }
    }
}
