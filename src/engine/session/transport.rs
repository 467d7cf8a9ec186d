//! A client's way to its server.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::engine::config::{Path, Protocol};
use crate::engine::error::Result;
use crate::engine::net::rest::Rest;
use crate::engine::net::tcp::TcpSender;
use crate::engine::net::udp::UdpSender;

/// A way to the server.
pub enum Transport {
    /// Datagrams.
    Udp(Box<UdpSender>),
    /// A connection.
    Tcp(TcpSender),
}

impl Transport {
    /// Connects as `path` says, giving up when `cancelled`.
    pub fn connect(path: &Path, cancelled: &AtomicBool) -> Result<Self> {
        Ok(match path.protocol {
            Protocol::Udp => Self::Udp(Box::new(UdpSender::connect(path)?)),
            Protocol::Tcp => Self::Tcp(TcpSender::connect(path, CONNECT_TIMEOUT, cancelled)?),
        })
    }

    /// The other end.
    pub fn peer(&self) -> SocketAddr {
        match self {
            Self::Udp(udp) => udp.peer(),
            Self::Tcp(tcp) => tcp.peer(),
        }
    }

    /// Our end.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        match self {
            Self::Udp(udp) => udp.local_addr(),
            Self::Tcp(tcp) => Ok(tcp.local_addr()),
        }
    }

    /// Sleeps for `timeout` at most, or until the other end says something, where it is listened to.
    pub fn rest(&self, rest: &mut Rest, listens: bool, timeout: Duration) {
        match self {
            Self::Udp(udp) if listens => udp.rest(rest, timeout),
            Self::Tcp(tcp) if listens => tcp.rest(rest, timeout),
            _ => rest.sleep(timeout),
        }
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
