//! What to say when the network refuses: one sentence that names the way out.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;

use crate::engine::config::Protocol;
use crate::engine::error::{Error, ErrorKind};

/// An error of the network that needs no advice.
pub fn plain(what: impl Display, error: &io::Error) -> Error {
    Error::io(ErrorKind::Transport, what, error)
}

/// Why a port could not be had. `option` is the name of what chose it: `--port` or `--local-port`.
pub fn bind(protocol: Protocol, address: &str, port: u16, option: &str, error: &io::Error) -> Error {
    use io::ErrorKind as Kind;
    let message = match error.kind() {
        Kind::AddrInUse => {
            let list = match protocol {
                Protocol::Udp => "ss -lunp",
                Protocol::Tcp => "ss -ltnp",
            };
            format!(
                "port {port} is already in use: stop the other program ({list} shows it) or choose another {option}"
            )
        }
        Kind::PermissionDenied => {
            format!("port {port} needs administrator rights: choose a {option} of 1024 or more")
        }
        Kind::AddrNotAvailable => {
            format!(
                "{address} is not an address of this machine: leave --bind out, or take one that `ip addr` shows"
            )
        }
        _ => return plain(format!("cannot listen on {address} port {port}"), error),
    };
    transport(message).with_errno(error)
}

/// Why a host could not be reached.
pub fn connect(protocol: Protocol, host: &str, address: SocketAddr, error: &io::Error) -> Error {
    use io::ErrorKind as Kind;
    let port = address.port();
    let name = protocol.name().to_uppercase();
    let message = match error.kind() {
        Kind::ConnectionRefused => format!(
            "nobody listens on {name} port {port} of {host} ({address}): start the server first, or check host and port"
        ),
        Kind::TimedOut => format!(
            "{host} ({address}) does not answer: check the address, and that no firewall stops {name} port {port}"
        ),
        Kind::NetworkUnreachable | Kind::HostUnreachable | Kind::NetworkDown => {
            format!("there is no way to {host} ({address}): check the network connection and the address")
        }
        _ => return plain(format!("cannot connect to {host} ({address})"), error),
    };
    transport(message).with_errno(error)
}

/// Why a connection ended.
pub fn lost(peer: SocketAddr, error: &io::Error) -> Error {
    use io::ErrorKind as Kind;
    let message = match error.kind() {
        Kind::TimedOut => format!("{peer} does not answer any more: the connection is lost"),
        Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted => {
            format!("{peer} has closed the connection")
        }
        _ => return plain(format!("the connection to {peer} is lost"), error),
    };
    transport(message).with_errno(error)
}

/// What is done about an error of sending a datagram. None of them ends a stream but those that only a bug can cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The call is made again.
    Again,
    /// The datagram is dropped and counted; the next may go.
    Drop(Obstacle),
    /// Nobody listens at the peer's port: its other addresses are tried, and its name is looked up again.
    NextAddress,
    /// The path takes less than was thought: later packets are shorter.
    Shorten,
    /// The socket's own address or its way is gone: another socket is made, and the name is looked up again.
    Rebind,
    /// The call is wrong.
    End,
}

/// Why a datagram could not leave this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// `EAGAIN`, `ENOBUFS`, `ENOMEM`.
    Full,
    /// `EPERM`, `EACCES`.
    Forbidden,
    /// `ENETUNREACH` and its kin.
    NoWay,
    /// `EMSGSIZE` of more than UDP carries.
    TooLong,
}

impl Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Full => "the system's send buffer is full",
            Self::Forbidden => "a firewall or route of this machine forbids sending",
            Self::NoWay => "there is no network",
            Self::TooLong => "a packet is too long for UDP: choose a smaller size, or tcp",
        })
    }
}

/// The one table of the errors of sending a datagram.
pub fn remedy(error: &io::Error) -> Remedy {
    use io::ErrorKind as Kind;
    if code::is(error, code::TOO_LONG) {
        return Remedy::Shorten;
    }
    if code::is(error, code::NO_BUFFERS) {
        return Remedy::Drop(Obstacle::Full);
    }
    if code::BUGS.iter().any(|&bug| code::is(error, bug)) {
        return Remedy::End;
    }
    match error.kind() {
        Kind::Interrupted => Remedy::Again,
        Kind::WouldBlock | Kind::OutOfMemory => Remedy::Drop(Obstacle::Full),
        Kind::PermissionDenied => Remedy::Drop(Obstacle::Forbidden),
        Kind::ConnectionRefused | Kind::ConnectionReset => Remedy::NextAddress,
        // ENETUNREACH, EHOSTUNREACH, ENETDOWN, EHOSTDOWN, EADDRNOTAVAIL, EINVAL (the source address is gone), ENODEV, ENXIO,
        // ENONET, ENOTCONN, EDESTADDRREQ, EPROTO, EOPNOTSUPP (as routers say it), and what no system has invented yet.
        _ => Remedy::Rebind,
    }
}

/// Numbers of errors that [`io::ErrorKind`] has no name for.
#[cfg(unix)]
mod code {
    pub const TOO_LONG: i32 = libc::EMSGSIZE;
    pub const NO_BUFFERS: i32 = libc::ENOBUFS;
    pub const BUGS: [i32; 3] = [libc::EBADF, libc::EFAULT, libc::ENOTSOCK];

    pub fn is(error: &std::io::Error, code: i32) -> bool {
        error.raw_os_error() == Some(code)
    }
}

/// `WSAEMSGSIZE`, `WSAENOBUFS`, `WSAEBADF`, `WSAEFAULT`, `WSAENOTSOCK`.
#[cfg(windows)]
mod code {
    pub const TOO_LONG: i32 = 10_040;
    pub const NO_BUFFERS: i32 = 10_055;
    pub const BUGS: [i32; 3] = [10_009, 10_014, 10_038];

    pub fn is(error: &std::io::Error, code: i32) -> bool {
        error.raw_os_error() == Some(code)
    }
}

/// An error of the network that is none of the system's.
pub fn transport(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Transport, message)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn no_error_of_a_network_ends_a_stream() {
        for (errno, expected) in [
            (libc::EINTR, Remedy::Again),
            (libc::EAGAIN, Remedy::Drop(Obstacle::Full)),
            (libc::ENOBUFS, Remedy::Drop(Obstacle::Full)),
            (libc::ENOMEM, Remedy::Drop(Obstacle::Full)),
            (libc::EPERM, Remedy::Drop(Obstacle::Forbidden)),
            (libc::EACCES, Remedy::Drop(Obstacle::Forbidden)),
            (libc::ECONNREFUSED, Remedy::NextAddress),
            (libc::ECONNRESET, Remedy::NextAddress),
            (libc::EMSGSIZE, Remedy::Shorten),
            (libc::ENETUNREACH, Remedy::Rebind),
            (libc::EHOSTUNREACH, Remedy::Rebind),
            (libc::ENETDOWN, Remedy::Rebind),
            (libc::EHOSTDOWN, Remedy::Rebind),
            (libc::EADDRNOTAVAIL, Remedy::Rebind),
            (libc::EINVAL, Remedy::Rebind),
            (libc::ENODEV, Remedy::Rebind),
            (libc::ENXIO, Remedy::Rebind),
            (libc::ENOTCONN, Remedy::Rebind),
            (libc::EDESTADDRREQ, Remedy::Rebind),
            (libc::EPROTO, Remedy::Rebind),
            (libc::EOPNOTSUPP, Remedy::Rebind),
            (libc::EPIPE, Remedy::Rebind),
            (libc::ETIMEDOUT, Remedy::Rebind),
            (libc::EIO, Remedy::Rebind),
            (libc::EBADF, Remedy::End),
            (libc::EFAULT, Remedy::End),
            (libc::ENOTSOCK, Remedy::End),
        ] {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(remedy(&error), expected, "{error}");
        }
    }
}
