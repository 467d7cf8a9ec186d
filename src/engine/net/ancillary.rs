//! What the kernel says beside a datagram (`cmsg(3)`): when it came, and to which of our addresses; and the word with which we
//! choose the address that an answer leaves from.

use std::net::IpAddr;

/// What was said of one datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ancillary {
    /// When the kernel received it, nanoseconds since 1970.
    pub stamp: Option<i64>,
    /// Which of our addresses it was sent to; a group or a broadcast is none.
    pub local: Option<IpAddr>,
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub use linux::{from, read};

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod linux {
    use std::mem::offset_of;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::Ancillary;

    /// Reads control bytes; what is not understood is passed over.
    pub fn read(mut control: &[u8]) -> Ancillary {
        let mut said = Ancillary::default();
        while let Some((level, kind, data, rest)) = split(control) {
            match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => said.stamp = stamp(data),
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    // Interface, then our address by the routing table, then the packet's destination.
                    said.local = octets::<4>(data, 4).map(|o| IpAddr::V4(Ipv4Addr::from(o)));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    said.local = octets::<16>(data, 0).map(|o| Ipv6Addr::from(o).to_canonical());
                }
                _ => {}
            }
            control = rest;
        }
        said.local = said.local.filter(|ip| !ip.is_multicast() && !ip.is_unspecified());
        if said.local == Some(IpAddr::V4(Ipv4Addr::BROADCAST)) {
            said.local = None;
        }
        said
    }

    /// Control bytes that have a datagram leave from `local`, on a socket that is IPv6 or not.
    pub fn from(local: IpAddr, is_v6: bool) -> Vec<u8> {
        // The interface stays the routing table's to choose.
        let (level, kind, data) = match (local, is_v6) {
            (IpAddr::V4(v4), false) => {
                let data = [[0; 4], v4.octets(), [0; 4]].concat();
                (libc::IPPROTO_IP, libc::IP_PKTINFO, data)
            }
            (local, _) => {
                let v6 = match local {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                    IpAddr::V6(v6) => v6,
                };
                let data = [v6.octets().as_slice(), &[0; 4]].concat();
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, data)
            }
        };
        let mut out = (HEADER + data.len()).to_ne_bytes().to_vec();
        out.extend_from_slice(&level.to_ne_bytes());
        out.extend_from_slice(&kind.to_ne_bytes());
        out.extend_from_slice(&data);
        out.resize(out.len().next_multiple_of(ALIGN), 0);
        out
    }

    /// The first message: level, kind, data; and what follows.
    fn split(control: &[u8]) -> Option<(i32, i32, &[u8], &[u8])> {
        let length = usize::from_ne_bytes(octets(control, offset_of!(libc::cmsghdr, cmsg_len))?);
        let level = i32::from_ne_bytes(octets(control, offset_of!(libc::cmsghdr, cmsg_level))?);
        let kind = i32::from_ne_bytes(octets(control, offset_of!(libc::cmsghdr, cmsg_type))?);
        let data = control.get(HEADER..length)?;
        let rest = control.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some((level, kind, data, rest))
    }

    fn stamp(data: &[u8]) -> Option<i64> {
        let (seconds, nanos) = (i64::from_ne_bytes(octets(data, 0)?), i64::from_ne_bytes(octets(data, 8)?));
        seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
    }

    fn octets<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
        bytes.get(at..)?.first_chunk().copied()
    }

    const HEADER: usize = size_of::<libc::cmsghdr>();
    const ALIGN: usize = size_of::<usize>();
}

/// Nothing is said here.
#[cfg(all(target_os = "linux", not(target_pointer_width = "64")))]
pub fn read(_control: &[u8]) -> Ancillary {
    Ancillary::default()
}

/// The address cannot be chosen here.
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
pub fn from(_local: IpAddr, _is_v6: bool) -> Vec<u8> {
    Vec::new()
}

#[cfg(all(test, target_os = "linux", target_pointer_width = "64"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_the_rest_passed_over() {
        for (local, is_v6) in [("192.0.2.1", false), ("192.0.2.1", true), ("2001:db8::1", true)] {
            let local: IpAddr = local.parse().unwrap();
            let mut control = 24_usize.to_ne_bytes().to_vec();
            control.extend_from_slice(&[9; 16]);
            control.extend_from_slice(&from(local, is_v6));
            assert_eq!(read(&control), Ancillary { stamp: None, local: Some(local) });
        }
    }

    #[test]
    fn broken_control_bytes_end_the_reading() {
        let whole = from("192.0.2.1".parse().unwrap(), false);
        for cut in 0..whole.len() - 4 {
            assert_eq!(read(&whole[..cut]), Ancillary::default(), "{cut}");
        }
        for length in [0, 1, 15, usize::MAX] {
            let mut wrong = whole.clone();
            wrong[..8].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(read(&wrong), Ancillary::default());
        }
        assert_eq!(read(&from("224.0.0.1".parse().unwrap(), true)), Ancillary::default());
    }
}
