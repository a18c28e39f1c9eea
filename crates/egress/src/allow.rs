//! What the operator opened on purpose: `127.0.0.0/8:9000,10.0.0.0/8`.
//!
//! An opened range may be reached in spite of [`crate::policy`]'s rules on addresses, ports and `http`. It is a range of addresses, never of
//! names: a name is opened by what it resolves to.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::addresses::{Block, meant};

/// The ranges that are open, none by default.
///
/// It is read from items separated by commas. An item is a network (`10.0.0.0/8`, `fd00::/8`, one address as `/32` or `/128`) and may end in a
/// port (`127.0.0.0/8:9000`, `fd00::/8:9000`); without one all ports are open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allow(Vec<Range>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    block: Block,
    port: Option<u16>,
}

/// Which item is wrong, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("item {item}, `{text}`: {flaw}")]
pub struct WrongRange {
    /// Its place, from 1.
    pub item: usize,
    /// The item as it was written, with what cannot be shown escaped.
    pub text: String,
    /// What is wrong with it.
    pub flaw: RangeFlaw,
}

/// What is wrong with one item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeFlaw {
    /// Nothing stands there.
    #[error("nothing between the commas")]
    Empty,
    /// A `/` is missing.
    #[error("expected a network such as 10.0.0.0/8 or fd00::/8:9000; one address is 127.0.0.1/32 or ::1/128")]
    NoNetwork,
    /// What stands before the `/` is no address.
    #[error("`{0}` is no address; names cannot be opened, only what they resolve to")]
    NoAddress(String),
    /// What stands after the `/` is no length of this family.
    #[error("`/{0}` is no length of its network, which is a number up to {1}")]
    Length(String, u8),
    /// Bits of the address are outside of the network.
    #[error("its address is not the network's first: write {0}")]
    NotFirst(String),
    /// IPv4 in the clothes of IPv6: no address is compared with it.
    #[error("write it as IPv4")]
    Mapped,
    /// What stands after the last `:` is no port.
    #[error("`{0}` is no port, which is a number from 1 to 65535")]
    Port(String),
}

impl Allow {
    /// The items one by one, as a list in a file has them.
    ///
    /// # Errors
    /// The first item that is wrong.
    pub fn read<'a>(items: impl IntoIterator<Item = &'a str>) -> Result<Self, WrongRange> {
        let items = items.into_iter().enumerate().map(|(index, text)| {
            range(text.trim()).map_err(|flaw| WrongRange {
                item: index + 1,
                text: text.trim().escape_debug().to_string(),
                flaw,
            })
        });
        items.collect::<Result<_, _>>().map(Self)
    }

    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this address is open at this port.
    pub(crate) fn opens(&self, address: IpAddr, port: u16) -> bool {
        let address = meant(address);
        self.0.iter().any(|range| range.opens_port(port) && range.block.has(address))
    }

    /// Whether any address is open at this port.
    pub(crate) fn opens_port(&self, port: u16) -> bool {
        self.0.iter().any(|range| range.opens_port(port))
    }
}

impl FromStr for Allow {
    type Err = WrongRange;

    /// Of one text. An empty one opens nothing.
    fn from_str(text: &str) -> Result<Self, WrongRange> {
        if text.trim().is_empty() { Ok(Self::default()) } else { Self::read(text.split(',')) }
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}", range.block)?;
            if let Some(port) = range.port {
                write!(f, ":{port}")?;
            }
        }
        Ok(())
    }
}

impl Range {
    fn opens_port(self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}

fn range(text: &str) -> Result<Range, RangeFlaw> {
    if text.is_empty() {
        return Err(RangeFlaw::Empty);
    }
    // The port comes after the slash, so the colons of IPv6 are not in its way.
    let (address, rest) = text.split_once('/').ok_or(RangeFlaw::NoNetwork)?;
    let (length, port) = match rest.split_once(':') {
        Some((length, port)) => (length, Some(port)),
        None => (rest, None),
    };
    let address: IpAddr = address.parse().map_err(|_| RangeFlaw::NoAddress(address.escape_debug().to_string()))?;
    if meant(address) != address {
        return Err(RangeFlaw::Mapped);
    }
    let most = if address.is_ipv4() { 32 } else { 128 };
    let flaw = || RangeFlaw::Length(length.escape_debug().to_string(), most);
    let block = number(length).and_then(|length| Block::of(address, u8::try_from(length).ok()?)).ok_or_else(flaw)?;
    if block.network() != address {
        return Err(RangeFlaw::NotFirst(block.to_string()));
    }
    let port = port.map(|port| {
        let number = number(port).filter(|port| *port > 0);
        number.ok_or_else(|| RangeFlaw::Port(port.escape_debug().to_string()))
    });
    Ok(Range { block, port: port.transpose()? })
}

/// Digits only: the standard parser would take a sign.
fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_shown_and_read_again() {
        for (text, shown) in [
            ("", ""),
            (" 127.0.0.0/8:9000 ,10.0.0.0/8", "127.0.0.0/8:9000, 10.0.0.0/8"),
            ("fd00::/8:9000,::1/128", "fd00::/8:9000, ::1/128"),
            ("0.0.0.0/0,::/0", "0.0.0.0/0, ::/0"),
            ("192.168.7.9/32:65535", "192.168.7.9/32:65535"),
        ] {
            let allow: Allow = text.parse().unwrap();
            assert_eq!(allow.to_string(), shown);
            assert_eq!(shown.parse::<Allow>().unwrap(), allow);
        }
    }

    #[test]
    fn what_is_open_ends_at_its_edges() {
        let allow: Allow = "127.0.0.0/8:9000,10.4.0.0/14,fd00::/8:81".parse().unwrap();
        let open = |address: &str, port| allow.opens(address.parse().unwrap(), port);
        assert!(open("127.0.0.1", 9000) && open("127.255.255.255", 9000) && open("::ffff:127.0.0.1", 9000));
        assert!(!open("127.0.0.1", 9001) && !open("128.0.0.0", 9000) && !open("126.255.255.255", 9000));
        assert!(open("10.4.0.0", 1) && open("10.7.255.255", 65535) && !open("10.3.255.255", 1) && !open("10.8.0.0", 1));
        assert!(open("fdff::1", 81) && !open("fc00::1", 81) && !open("fd00::1", 80));
        // What a translator would make of an opened address is not opened with it.
        assert!(!open("64:ff9b::10.4.0.1", 443) && !open("::10.4.0.1", 443));
        assert!(allow.opens_port(4) && !"127.0.0.0/8:9".parse::<Allow>().unwrap().opens_port(4));
    }

    #[test]
    fn a_wrong_item_is_told_by_place_and_reason() {
        for (text, told) in [
            ("10.0.0.0/8,", "item 2, ``: nothing between the commas"),
            ("10.0.0.0/8,127.0.0.1", "item 2, `127.0.0.1`: expected a network such as"),
            ("localhost/8", "item 1, `localhost/8`: `localhost` is no address; names cannot be opened"),
            ("127.1/8", "`127.1` is no address"),
            ("10.0.0.0/33", "`/33` is no length of its network, which is a number up to 32"),
            ("::/129", "a number up to 128"),
            ("10.0.0.0/+8", "`/+8` is no length"),
            ("10.0.0.0/", "`/` is no length"),
            ("10.0.0.1/8", "write 10.0.0.0/8"),
            ("::ffff:10.0.0.0/104", "write it as IPv4"),
            ("10.0.0.0/8:0", "`0` is no port"),
            ("10.0.0.0/8:65536", "`65536` is no port"),
            ("10.0.0.0/8:", "`` is no port"),
            ("10.0.0.0/8:http", "`http` is no port"),
            ("fe80::%eth0/10", "`fe80::%eth0` is no address"),
            ("10.0.0.0/8\u{1b}[2J", "\\u{1b}[2J"),
        ] {
            let refusal = text.parse::<Allow>().unwrap_err().to_string();
            assert!(refusal.contains(told), "{refusal}");
        }
    }
}
