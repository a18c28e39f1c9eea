//! What is forbidden, said a second time and in another way, so that a slip of the policy is not repeated here: whole registries as text, and
//! addresses as strings of bits.

use std::net::{IpAddr, SocketAddr};

/// The special-purpose registries of the IANA, multicast, and what else is not for users.
const SPECIAL: &str = "
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24
    192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32
    ::/128 ::1/128 ::/96 ::ffff:0:0:0/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20
    5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8
    ";

/// Whether nobody may dial this over a name and `https`, given what is opened: networks, with a port or without.
pub(super) fn forbidden(address: SocketAddr, opened: &str) -> bool {
    if is_opened(address, opened) {
        return false;
    }
    !public(address.ip()) || ![443, 80, 8443].contains(&address.port())
}

/// Whether an address is opened.
pub(super) fn is_opened(address: SocketAddr, opened: &str) -> bool {
    let written = if address.is_ipv4() { bits(address.ip()) } else { bits(mapped(address.ip())) };
    opened.split(',').filter(|range| !range.is_empty()).any(|range| {
        let (network, rest) = range.split_once('/').unwrap();
        let (length, port) = rest.split_once(':').unwrap_or((rest, ""));
        let prefix = bits(network.parse().unwrap());
        let same = prefix.len() == written.len() && written.starts_with(&prefix[..length.parse().unwrap()]);
        same && (port.is_empty() || port == address.port().to_string())
    })
}

/// Whether an address is public.
pub(super) fn public(address: IpAddr) -> bool {
    let address = mapped(address);
    let written = bits(address);
    if let Some(translated) = written.strip_prefix(&bits("64:ff9b::".parse().unwrap())[..96])
        && address.is_ipv6()
    {
        return public(std::net::Ipv4Addr::from_bits(u32::from_str_radix(translated, 2).unwrap()).into());
    }
    let special = SPECIAL.split_whitespace().any(|range| {
        let (network, length) = range.split_once('/').unwrap();
        let prefix = bits(network.parse().unwrap());
        prefix.len() == written.len() && written.starts_with(&prefix[..length.parse().unwrap()])
    });
    !special && (address.is_ipv4() || written.starts_with("001"))
}

fn mapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            IpAddr::from([a, b, c, d])
        }
        _ => address,
    }
}

fn bits(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => format!("{:032b}", v4.to_bits()),
        IpAddr::V6(v6) => format!("{:0128b}", v6.to_bits()),
    }
}

#[test]
fn the_oracle_knows_the_usual_ones() {
    let socket = |text: &str| text.parse::<SocketAddr>().unwrap();
    for text in
        ["127.0.0.1:443", "[::1]:443", "[::ffff:10.0.0.1]:443", "[64:ff9b::a00:1]:443", "8.8.8.8:22", "[fd00::1]:80"]
    {
        assert!(forbidden(socket(text), ""), "{text}");
    }
    for text in ["8.8.8.8:443", "[2606:4700::1]:8443", "[64:ff9b::808:808]:80"] {
        assert!(!forbidden(socket(text), ""), "{text}");
    }
    assert!(!forbidden(socket("127.0.0.1:9000"), "10.0.0.0/8,127.0.0.0/8:9000"));
    assert!(forbidden(socket("127.0.0.1:9001"), "10.0.0.0/8,127.0.0.0/8:9000"));
}
