//! Addresses as the engine shows them, and sockets bound to them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::AtomicBool;

use socket2::{Domain, SockAddr, Socket, Type};

use super::failure;
use super::resolve::resolve;
use crate::engine::config::Protocol;
use crate::engine::error::Result;

/// The address as shown and compared: IPv4 where IPv6 only wraps it, without a flow label.
pub fn shown(address: &SockAddr) -> Option<SocketAddr> {
    let mut address = address.as_socket()?;
    if let SocketAddr::V6(v6) = &mut address {
        if let Some(v4) = v6.ip().to_ipv4_mapped() {
            return Some((v4, v6.port()).into());
        }
        v6.set_flowinfo(0);
    }
    Some(address)
}

/// A socket to hear others with and its address: `everywhere`, or `at` the first address of `bind` that can be had.
pub fn bound(
    protocol: Protocol,
    bind: Option<&str>,
    port: u16,
    everywhere: impl FnOnce() -> io::Result<Socket>,
    at: impl Fn(&SocketAddr) -> io::Result<Socket>,
) -> Result<(Socket, SocketAddr)> {
    let place = bind.unwrap_or("every interface");
    let failed = |e: io::Error| failure::bind(protocol, place, port, "--port", &e);
    let socket = match bind {
        None => everywhere(),
        Some(name) => {
            let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
            for candidate in resolve(name, port, &AtomicBool::new(false))? {
                result = at(&candidate);
                if result.is_ok() {
                    break;
                }
            }
            result
        }
    }
    .map_err(failed)?;
    let local = local(&socket)?;
    Ok((socket, local))
}

/// Where a socket is bound.
pub fn local(socket: &Socket) -> Result<SocketAddr> {
    let local = socket.local_addr().map_err(|e| failure::plain("the socket has no address", &e))?;
    shown(&local).ok_or_else(|| failure::transport("the socket has no address"))
}

/// A non-blocking socket of the address's family, not yet bound.
pub fn open(address: &SocketAddr, kind: Type) -> io::Result<Socket> {
    let protocol = if kind == Type::STREAM { socket2::Protocol::TCP } else { socket2::Protocol::UDP };
    let socket = Socket::new(Domain::for_address(*address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A socket bound to every interface, IPv4 and IPv6, or IPv4 alone where there is no IPv6.
pub fn bind_everywhere(
    port: u16,
    kind: Type,
    prepare: impl Fn(&Socket) -> io::Result<()>,
) -> io::Result<Socket> {
    let six = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let four = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let dual = open(&six, kind).and_then(|socket| {
        socket.set_only_v6(false)?;
        prepare(&socket)?;
        socket.bind(&six.into())?;
        Ok(socket)
    });
    match dual {
        Err(e) if !matches!(e.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => {
            bind(&four, kind, prepare)
        }
        done => done,
    }
}

/// A socket bound to one address; an IPv6 one does not take IPv4's port.
pub fn bind(
    address: &SocketAddr,
    kind: Type,
    prepare: impl Fn(&Socket) -> io::Result<()>,
) -> io::Result<Socket> {
    let socket = open(address, kind)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    prepare(&socket)?;
    socket.bind(&(*address).into())?;
    Ok(socket)
}

/// No address at `port`, in the family of `of`.
pub fn unspecified(of: &SocketAddr, port: u16) -> SocketAddr {
    match of.ip() {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, port).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, port).into(),
    }
}

/// Marks what the socket sends with a `DiffServ` code point (RFC 2474); networks may ignore it, and so do we a refusal.
pub fn mark(socket: &Socket, address: &SocketAddr, dscp: u8) {
    let class = u32::from(dscp & 63) << 2;
    let _ = match address {
        SocketAddr::V4(_) => socket.set_tos_v4(class),
        #[cfg(not(windows))]
        SocketAddr::V6(_) => socket.set_tclass_v6(class),
        #[cfg(windows)]
        SocketAddr::V6(_) => Ok(()),
    };
}
