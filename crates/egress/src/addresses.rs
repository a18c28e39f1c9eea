//! Which addresses are public: an allow-list.
//!
//! IPv4 is public between 1.0.0.0 and 223.255.255.255, IPv6 within 2000::/3, in both cases without what the special-purpose registries of the
//! IANA list, globally reachable or not. So an address of a kind that does not exist yet is not public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network: all addresses that share its first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    network: IpAddr,
    length: u8,
}

impl Block {
    /// The block of `length` bits to which `address` belongs; nothing if the family has not so many.
    pub(crate) fn of(address: IpAddr, length: u8) -> Option<Self> {
        let network = match address {
            IpAddr::V4(v4) if length <= 32 => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask_v4(length))),
            IpAddr::V6(v6) if length <= 128 => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask_v6(length))),
            _ => return None,
        };
        Some(Self { network, length })
    }

    /// Its first address.
    pub(crate) fn network(self) -> IpAddr {
        self.network
    }

    /// Whether `address` is in it. An address of the other family never is.
    pub(crate) fn has(self, address: IpAddr) -> bool {
        Self::of(address, self.length) == Some(self)
    }
}

impl std::fmt::Display for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

fn mask_v4(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

fn mask_v6(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

const fn v4(octets: [u8; 4], length: u8) -> Block {
    let [a, b, c, d] = octets;
    Block { network: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), length }
}

const fn v6(first: [u16; 3], length: u8) -> Block {
    let [a, b, c] = first;
    Block { network: IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)), length }
}

/// What is special within IPv4's unicast addresses, and what each is.
const SPECIAL_V4: &[(Block, &str)] = &[
    (v4([10, 0, 0, 0], 8), "private"),
    (v4([100, 64, 0, 0], 10), "shared by a provider's customers"),
    (v4([127, 0, 0, 0], 8), "this machine"),
    // 169.254.169.254 is where clouds keep a machine's credentials.
    (v4([169, 254, 0, 0], 16), "link-local"),
    (v4([172, 16, 0, 0], 12), "private"),
    (v4([192, 0, 0, 0], 24), "for protocols"),
    (v4([192, 0, 2, 0], 24), "for documentation"),
    (v4([192, 31, 196, 0], 24), "for name servers of private addresses"),
    (v4([192, 52, 193, 0], 24), "for multicast relays"),
    (v4([192, 88, 99, 0], 24), "for relays to IPv6"),
    (v4([192, 168, 0, 0], 16), "private"),
    (v4([192, 175, 48, 0], 24), "for name servers of private addresses"),
    (v4([198, 18, 0, 0], 15), "for benchmarks"),
    (v4([198, 51, 100, 0], 24), "for documentation"),
    (v4([203, 0, 113, 0], 24), "for documentation"),
    // Not of the registry: looks public, and is answered by the host of each virtual machine of one cloud.
    (v4([168, 63, 129, 16], 32), "the host of a virtual machine"),
];

const PUBLIC_V6: Block = v6([0x2000, 0, 0], 3);
/// An IPv4 address for those who have no IPv4 (RFC 6052).
const TRANSLATED: Block = v6([0x64, 0xff9b, 0], 96);
/// What is special within [`PUBLIC_V6`].
const SPECIAL_V6: &[(Block, &str)] = &[
    (v6([0x2001, 0, 0], 23), "for protocols, tunnels among them"),
    (v6([0x2001, 0xdb8, 0], 32), "for documentation"),
    (v6([0x2002, 0, 0], 16), "a tunnel to an IPv4 address"),
    (v6([0x2620, 0x4f, 0x8000], 48), "for name servers of private addresses"),
    (v6([0x3fff, 0, 0], 20), "for documentation"),
];

/// The address that is meant: IPv4 as IPv6 writes it (`::ffff:…`) is IPv4.
pub(crate) fn meant(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// What is special about an address, so that it is not public; nothing if it is.
pub(crate) fn special(address: IpAddr) -> Option<&'static str> {
    match meant(address) {
        IpAddr::V4(v4) => special_v4(v4),
        // A translator reaches what is behind it, so it is what is behind it that must be public. Nothing else translated gets through.
        IpAddr::V6(v6) if TRANSLATED.has(v6.into()) => {
            let [.., a, b, c, d] = v6.octets();
            special_v4(Ipv4Addr::new(a, b, c, d))
        }
        IpAddr::V6(v6) => special_v6(v6),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("this network"),
        [224..=239, ..] => Some("multicast"),
        [240..=255, ..] => Some("reserved"),
        _ => listed(SPECIAL_V4, address.into()),
    }
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    if !PUBLIC_V6.has(address.into()) {
        return Some("outside of public IPv6");
    }
    listed(SPECIAL_V6, address.into())
}

fn listed(list: &[(Block, &'static str)], address: IpAddr) -> Option<&'static str> {
    list.iter().find(|(block, _)| block.has(address)).map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(text: &str) -> bool {
        special(text.parse().unwrap()).is_none()
    }

    #[test]
    fn each_special_block_is_closed_from_its_first_to_its_last_address() {
        let (mut closed, mut open_beside) = (0, 0);
        for (block, what) in SPECIAL_V4.iter().chain(SPECIAL_V6) {
            let (first, last) = ends(*block);
            for address in [first, last] {
                assert!(special(address).is_some(), "{address} {what}");
                closed += 1;
            }
            // What lies beside it is open unless it is another block's.
            for beside in [before(first), after(last)] {
                let other = SPECIAL_V4.iter().chain(SPECIAL_V6).any(|(block, _)| block.has(beside));
                assert_eq!(special(beside).is_some(), other, "{beside} beside {what}");
                open_beside += usize::from(!other);
            }
        }
        assert_eq!(closed, 2 * (SPECIAL_V4.len() + SPECIAL_V6.len()));
        assert!(open_beside > 30, "{open_beside}");
    }

    #[test]
    fn the_edges_of_what_is_public() {
        for text in ["1.0.0.0", "223.255.255.255", "8.8.8.8", "2000::", "2606:4700::1111", "3ffe:ffff::1"] {
            assert!(public(text), "{text}");
        }
        for text in ["0.0.0.0", "0.255.255.255", "224.0.0.0", "239.1.1.1", "240.0.0.0", "255.255.255.255"] {
            assert!(!public(text), "{text}");
        }
        for text in ["::", "::1", "1fff:ffff::", "4000::", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1"]
        {
            assert!(!public(text), "{text}");
        }
    }

    #[test]
    fn an_address_within_an_address_is_what_counts() {
        for text in ["::ffff:8.8.8.8", "64:ff9b::8.8.8.8"] {
            assert!(public(text), "{text}");
        }
        for text in [
            "::ffff:127.0.0.1",
            "::ffff:a9fe:a9fe",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::8.8.8.8",
            "64:ff9b::1:808:808",
            "::8.8.8.8",
            "::ffff:0:8.8.8.8",
            "2002:808:808::1",
            "2001:0:808:808::1",
        ] {
            assert!(!public(text), "{text}");
        }
    }

    fn ends(block: Block) -> (IpAddr, IpAddr) {
        let last = match block.network {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() | !mask_v4(block.length)).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() | !mask_v6(block.length)).into(),
        };
        (block.network, last)
    }

    fn before(address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() - 1).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() - 1).into(),
        }
    }

    fn after(address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() + 1).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() + 1).into(),
        }
    }
}
