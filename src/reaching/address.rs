//! Which addresses may be reached: public ones, and those of networks that the configuration names. Whoever may name a place must not
//! reach with it what only this machine can: its own services, its neighbours, the cloud's metadata.
//!
//! Sources: the special-purpose registries of IANA (RFC 6890), 2025-10-09. Of IPv6, what is not handed out (RFC 4291) is not
//! public either.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::serving::Networks;

/// IPv4 networks that are not public: first address, and bits that count.
const PRIVATE_V4: [([u8; 4], u32); 15] = [
    // This network.
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    // Behind a provider's address translation; clouds have metadata there as well.
    ([100, 64, 0, 0], 10),
    // This machine.
    ([127, 0, 0, 0], 8),
    // Link-local: metadata of clouds.
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    // Documentation.
    ([192, 0, 2, 0], 24),
    // Relays of 6to4.
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    // Measurements.
    ([198, 18, 0, 0], 15),
    // Documentation.
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    // Multicast.
    ([224, 0, 0, 0], 4),
    // Reserved, and broadcast.
    ([240, 0, 0, 0], 4),
];

/// IPv6 networks inside of 2000::/3 that are not public.
const PRIVATE_V6: [([u16; 8], u32); 3] = [
    // Protocols: Teredo, ORCHID, benchmarking.
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    // Documentation.
    ([0x2001, 0x0db8, 0, 0, 0, 0, 0, 0], 32),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];

/// Whether an address may be reached, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// With TLS.
    Public,
    /// Somebody has allowed it; without TLS as well.
    Allowed,
    Refused,
}

/// Where an address leads.
pub(super) fn reach(address: IpAddr, private: &Networks) -> Reach {
    let address = meant(address);
    if private.contain(address) {
        return Reach::Allowed;
    }
    let public = match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    };
    if public { Reach::Public } else { Reach::Refused }
}

/// The IPv4 address inside of an IPv6 address that is one way of writing it: mapped, NAT64 or 6to4. Any other as it is.
fn meant(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let parts = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let within = |(network, bits): &([u8; 4], u32)| {
        let mask = u32::MAX << (32 - bits);
        address.to_bits() & mask == Ipv4Addr::from(*network).to_bits()
    };
    !PRIVATE_V4.iter().any(within)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let within = |(network, bits): &([u16; 8], u32)| {
        let mask = u128::MAX << (128 - bits);
        address.to_bits() & mask == Ipv6Addr::from(*network).to_bits()
    };
    within(&([0x2000, 0, 0, 0, 0, 0, 0, 0], 3)) && !PRIVATE_V6.iter().any(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(address: &str, private: &str) -> Reach {
        let private = private.parse().expect("networks");
        reach(address.parse().expect(address), &private)
    }

    #[test]
    fn only_public_addresses_are_reached() {
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "2001:200::1",
            // The same public address in other words.
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::1",
        ] {
            assert_eq!(reached(public, ""), Reach::Public, "{public}");
        }
        for private in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            // Compatible with IPv4, as it was meant once.
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.1.2.3",
            "::ffff:169.254.169.254",
            // Translated, in whichever prefix.
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::a9fe:a9fe",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2002:c0a8:1::5",
            // Teredo, documentation, discard, unique local, link-local, site-local, multicast, segment routing.
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "5f00::1",
            "4000::1",
        ] {
            assert_eq!(reached(private, ""), Reach::Refused, "{private}");
        }
    }

    #[test]
    fn what_somebody_allows_is_reached_however_it_is_written() {
        let networks = "10.1.0.0/16, 127.0.0.1, fd00::/8";
        for allowed in [
            "10.1.2.3",
            "::ffff:10.1.2.3",
            "64:ff9b::10.1.2.3",
            "2002:a01:203::1",
            "127.0.0.1",
            "fd12::1",
        ] {
            assert_eq!(reached(allowed, networks), Reach::Allowed, "{allowed}");
        }
        for refused in ["10.2.0.1", "127.0.0.2", "::1", "fe80::1", "169.254.169.254"] {
            assert_eq!(reached(refused, networks), Reach::Refused, "{refused}");
        }
        assert_eq!(reached("8.8.8.8", networks), Reach::Public);
        assert_eq!(reached("8.8.8.8", "0.0.0.0/0"), Reach::Allowed);
    }
}
