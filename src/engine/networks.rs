//! The networks that a server listens to.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::error::{Error, Result};

/// A list of networks; an empty one stands for everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// An address and how many of its leading bits count (RFC 4632, RFC 4291 §2.3).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

impl Networks {
    /// From texts such as `192.168.0.0/16`, `10.0.0.7`, `fd00::/8`.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self> {
        if texts.len() > MOST {
            return Err(Error::config(format!("allow takes {MOST} networks at most")));
        }
        texts.iter().map(|text| Network::parse(text.as_ref())).collect::<Result<_>>().map(Self)
    }

    /// Whether an address is in one of them, or all are meant.
    pub fn admit(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.is_empty() || self.0.iter().any(|network| network.holds(address))
    }

    /// Whether everybody is meant.
    pub fn is_everybody(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("everybody");
        }
        for (place, network) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{network:?}")?;
        }
        Ok(())
    }
}

impl Network {
    fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::config(format!(
                "allow takes networks such as 192.168.0.0/16, 10.0.0.7 or fd00::/8, not {text:?}"
            ))
        };
        let (address, bits) = match text.trim().split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = width(address);
        let bits = match bits {
            None => most,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|bits| *bits <= most).ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
        };
        // IPv4 in IPv6's clothes is IPv4.
        let plain = address.to_canonical();
        let bits = match (address, plain) {
            (IpAddr::V6(_), IpAddr::V4(_)) => bits.checked_sub(96).ok_or_else(wrong)?,
            _ => bits,
        };
        Ok(Self { address: plain, bits })
    }

    fn holds(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && prefix(self.address, self.bits) == prefix(address, self.bits)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// Whom an address belongs to, as far as it can be told: one machine over IPv4; over IPv6 a /64, in which a machine takes
/// what addresses it likes (RFC 4291 §2.5.1, RFC 8981).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    prefix: u128,
    is_v4: bool,
    is_loopback: bool,
}

impl Place {
    /// This machine itself.
    pub const fn is_loopback(self) -> bool {
        self.is_loopback
    }
}

impl From<IpAddr> for Place {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let is_v4 = address.is_ipv4();
        let prefix = prefix(address, if is_v4 { 32 } else { 64 });
        Self { prefix, is_v4, is_loopback: address.is_loopback() }
    }
}

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The leading bits, at the top.
fn prefix(address: IpAddr, bits: u8) -> u128 {
    let whole = match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => Ipv6Addr::to_bits(v6),
    };
    whole & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

/// Networks in a list.
const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        Networks::parse(texts).unwrap()
    }

    fn admits(networks: &Networks, address: &str) -> bool {
        networks.admit(address.parse().unwrap())
    }

    #[test]
    fn without_a_list_everybody_is_let_in() {
        let all = networks(&[]);
        assert!(all.is_everybody() && admits(&all, "203.0.113.9") && admits(&all, "2001:db8::1"));
    }

    #[test]
    fn what_is_in_a_network_is_let_in_and_nothing_beside_it() {
        let some = networks(&["192.168.2.0/23", " 10.0.0.7 ", "fd00::/8", "::1", "203.0.113.77/24"]);
        for inside in ["192.168.2.0", "192.168.3.255", "10.0.0.7", "fd12::1", "fdff::", "::1", "203.0.113.1"]
        {
            assert!(admits(&some, inside), "{inside}");
        }
        for outside in ["192.168.1.255", "192.168.4.0", "10.0.0.6", "fe00::", "::2", "::", "203.0.112.255"] {
            assert!(!admits(&some, outside), "{outside}");
        }
    }

    #[test]
    fn the_families_are_apart_and_mapped_addresses_are_ipv4() {
        assert!(!admits(&networks(&["0.0.0.0/0"]), "2001:db8::1"));
        assert!(!admits(&networks(&["::/0"]), "192.0.2.1"));
        assert!(admits(&networks(&["0.0.0.0/0"]), "::ffff:192.0.2.1"));
        assert!(admits(&networks(&["::ffff:192.0.2.0/120"]), "192.0.2.200"));
        assert!(!admits(&networks(&["::ffff:192.0.2.0/120"]), "192.0.3.1"));
    }

    #[test]
    fn what_is_no_network_is_refused_by_name() {
        for wrong in [
            "",
            "lan",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0/8",
            "1.2.3.4/8/8",
            "::ffff:1.2.3.4/64",
        ] {
            let error = Networks::parse(&[wrong]).unwrap_err();
            assert!(error.message().contains(&format!("{wrong:?}")), "{error:?}");
        }
        assert!(Networks::parse(&vec!["::1"; 257]).is_err());
    }

    #[test]
    fn a_place_is_a_machine_or_its_sixty_four() {
        let place = |text: &str| Place::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(place("192.0.2.1"), place("::ffff:192.0.2.1"));
        assert_ne!(place("192.0.2.1"), place("192.0.2.2"));
        assert_eq!(place("2001:db8::1"), place("2001:db8::ffff:1"));
        assert_ne!(place("2001:db8::1"), place("2001:db8:0:1::1"));
        assert!(place("127.9.9.9").is_loopback() && place("::1").is_loopback());
        assert!(!place("::2").is_loopback());
    }
}
